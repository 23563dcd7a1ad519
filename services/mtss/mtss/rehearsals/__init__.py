"""Rehearsals at work: computed in the background, shown as a page, as sheets and from the command line."""
