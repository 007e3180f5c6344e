"""Publishing onward: what MSG91 reports, and what customers write, for those who want to hear of it.

`items_of` says what there is to publish of one report or message, purely. `Publisher` joins it to the event it came
from and hands it over by claim check, so that it is delivered, retried and recorded like anything else. `Remembering`
notes, while events are resolved, what that needs: only for destinations that publish or answer.
"""

from worker.onward.items import Item, items_of
from worker.onward.pseudonyms import pseudonym
from worker.onward.publisher import DOOR, Publisher
from worker.onward.remembering import Remembering

__all__ = ["DOOR", "Item", "Publisher", "Remembering", "items_of", "pseudonym"]
