"""Makes the modules beside this file (`tiny`, `small_disk`) importable from every folder of unit tests."""
