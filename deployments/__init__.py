"""What runs where: set-up, work pools, organizations, policies, demo models."""
