"""The zoo: trained networks that come with the package, each with a card."""
