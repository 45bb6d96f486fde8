"""Images that are built for other machines."""
