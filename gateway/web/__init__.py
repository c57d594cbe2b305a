"""The pages people see: what they say, in which language, and how they are rendered."""
