"""A mind: a brain with its memories and its history, in one folder. It can be taught, asked, corrected, put to sleep."""

from lab.mind.home import Minds, brains, check_name, minds_home
from lab.mind.mind import Mind
from lab.mind.replies import Answer, MindError, Taught

__all__ = ["Answer", "Mind", "MindError", "Minds", "Taught", "brains", "check_name", "minds_home"]
