"""The pages people see: what they say (scan, journey), in which language, and how it is rendered."""
