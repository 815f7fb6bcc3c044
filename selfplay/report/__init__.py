"""Reports: figures, findings and pages from the statistics of scaling."""
