"""What `campaigns.model` runs: a model of the service in plain Python, and the machine that holds the API to it."""
