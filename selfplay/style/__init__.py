"""Style of figures and numbers that all pages share: colors, markers, powers of ten."""
