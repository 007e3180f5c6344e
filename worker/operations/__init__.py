"""What an operator can do: plain functions that print nothing, for the command line and for a door to call.

Every one of them keeps the identity that ``reconcile`` checks, may be repeated, and leaves a note in the journal that
says who did it.

| module | does |
| --- | --- |
| ``letters`` | finds what is in doubt, dead or rejected, by any filter |
| ``in_doubt`` | sends again, drops or accepts what may have been sent |
| ``dead_letters`` | shows, replays or discards what is dead or rejected |
| ``schedule`` | shows, hurries or drops unfinished batches |
| ``lanes`` | shows, pauses, resumes and limits lanes |
| ``forgetting`` | erases a person (``person`` says what names one) |
| ``doctor`` | checks an installation |
"""
