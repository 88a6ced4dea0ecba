"""What the tests of `tinyllm view` share."""

from tests.view.app import app as app
from tests.view.app import folder as folder
