"""Pictures: read, prepared for a network, and those that come with the installation."""
