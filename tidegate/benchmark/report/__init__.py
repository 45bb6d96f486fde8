"""Reports of load benchmarks: JSON, CSV, Markdown, one HTML page, PNG. Import from the modules: they load late."""
