"""The one exception for what ptmap expects to go wrong."""


class Refusal(Exception):
    """What was asked cannot be done; the text is one sentence for the user.

    command.Command turns it into gdb.GdbError. Anything else that escapes is our bug and keeps
    its traceback.
    """
