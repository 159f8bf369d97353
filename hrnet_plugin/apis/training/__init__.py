"""Train on annotations alone: settings are derived from the data, and written as a config."""
