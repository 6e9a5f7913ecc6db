"""report.html: a run, or several, on one page that opens anywhere."""
