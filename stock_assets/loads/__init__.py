"""The parts that stage, audit and publish share: the load, the inputs of its SQL statements, and the audit files.

Belongs here: values and SQL inputs that more than one of the three steps needs, and the records of loads that later
steps read (report, rejection). Does not belong here: a step itself (`stage`, `audit`, `publish`).
"""
