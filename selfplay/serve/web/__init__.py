"""The web page: play against networks, and watch runs, ladders and studies (the `web` extra)."""
