"""RunPod: its API in our words, and an emulator of it."""
