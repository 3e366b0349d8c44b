"""Taking over what an earlier pipeline left: its files become stored answers, and go the usual path from there.

`places` says where old files lie, `rows` reads them, `sorting` finds out which rows are good for what, `takeover`
stores the bars. Nothing here publishes anything: what is stored is staged, audited and published like the vendor's
answers.
"""
