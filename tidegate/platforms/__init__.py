"""Where sets run: one folder a vendor, all behind `protocol.Platform`."""
