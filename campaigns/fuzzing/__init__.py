"""What `campaigns.fuzz` runs: a module a target, the process it runs in, and a slow reader of CSV files."""
