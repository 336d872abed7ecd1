"""The commands, by what they are about: data files, states, reports, exports."""
