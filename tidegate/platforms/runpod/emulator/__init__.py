"""An emulator of RunPod, faithful enough that moving to the real one changes two URLs and a key.

Run it with `python -m tidegate.platforms.runpod.emulator`, or from a test as `MockRunPodEnvironment`.
"""

from tidegate.platforms.runpod.emulator.environment import (
    EmulatorControl,
    Faults,
    MockRunPodEnvironment,
    running_emulator,
)

__all__ = ["EmulatorControl", "Faults", "MockRunPodEnvironment", "running_emulator"]
