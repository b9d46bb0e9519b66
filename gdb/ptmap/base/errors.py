"""The one exception for failures that ptmap expects."""


class Refusal(Exception):
    """What the user asked for cannot be done; the text says why, in one sentence.

    It reaches the user as a gdb.GdbError. Anything else that escapes is our bug and keeps its
    traceback.
    """
