"""What no schema can say: which records there are, and which values agree with each other. `bin/soak api` tells the records.

A positive case gets such values, unless its operation has succeeded a moment ago: then half of them stay as they were generated.
"""

import itertools
import json
import os
import random
import time
from urllib.parse import quote

import schemathesis
from schemathesis.generation.modes import GenerationMode

with open(os.environ["KNOWN_RECORDS"], encoding="utf-8") as file:
    KNOWN = json.load(file)

DICE = random.Random(1)
NUMBERS = itertools.count(1)
# When an operation succeeded last.
SUCCEEDED = {}
MOMENT = 0.5

PEOPLE = "id,name\n%d,Ann\n"


def known(of, is_removed=False):
    """The records for an operation: those of the second half are removed, so that the others stay."""
    half = (len(KNOWN[of]) + 1) // 2
    return KNOWN[of][half:] if is_removed else KNOWN[of][:half]


def one(of, is_removed=False):
    return DICE.choice(known(of, is_removed))


def payment():
    return {"amount": "1", "method": "cash", "status": "pending"}


def bulk(of, values):
    return lambda: {"ids": [one(of)], "set": values}


# The body of an operation, by its id.
BODIES = {
    "bulkUpdateAccount": bulk("accountId", {"creditor": "ACME"}),
    "bulkUploadAccount": lambda: {"file": "account,customer id,customer name,balance\nU-%d,U-1,Ann,1\n" % next(NUMBERS)},
    "bulkUploadCustomer": lambda: {"file": PEOPLE % next(NUMBERS)},
    "bulkUploadPayment": lambda: {"file": "account,reference,amount\nA-1,U-%d,1\n" % next(NUMBERS)},
    "changeAccount": lambda: {"creditor": "ACME"},
    "changeActivitiesBatch": bulk("activityId", {"disposition": "other"}),
    "changeActivity": lambda: {"disposition": "other"},
    "changeCustomer": lambda: {"language": "en"},
    "changeCustomerAddress": lambda: {"label": "home"},
    "changeCustomerContactPoint": lambda: {"label": "home"},
    "changeCustomersBatch": bulk("customerId", {"language": "en"}),
    "changePayment": lambda: {"description": "x"},
    "changePaymentsBatch": bulk("paymentId", {"description": "x"}),
    "changeProfile": lambda: {"name": "Ann"},
    "changeSavedSearch": lambda: {"name": "Late"},
    "changeUser": lambda: {"name": "Ann"},
    "createAccount": lambda: {"customerId": one("customerId"), "amountDue": 1},
    "createAccountActivity": lambda: {"type": "note", "note": f"{next(NUMBERS)}"},
    "createAccountLedger": lambda: {"kind": "fee", "amount": "1", "reason": "x"},
    "createAccountPayment": payment,
    "createActivity": lambda: {"accountId": one("accountId"), "type": "note", "note": f"{next(NUMBERS)}"},
    "createCustomer": lambda: {"name": "Ann"},
    "createCustomerAddress": lambda: {"line1": "1 Main St", "city": "Reno", "country": "US"},
    "createCustomerContactPoint": lambda: {"kind": "email", "value": f"a{next(NUMBERS)}@example.com"},
    "createImport": lambda: {"file": PEOPLE % next(NUMBERS), "target": "customers"},
    "createPayment": payment,
    "createPaymentsSimulate": lambda: {"amount": "1", "method": "cash", "outcome": "success"},
    "createSavedSearch": lambda: {"name": "Late", "collection": "accounts"},
    "createUser": lambda: {"username": f"user{next(NUMBERS)}", "password": "a long enough secret"},
    "createUsersInvitation": lambda: {"email": f"i{next(NUMBERS)}@example.com"},
    "keys": lambda: {"name": "nightly", "scopes": ["read"]},
    "login": lambda: {"username": one("username"), "password": KNOWN["password"]},
    "mappingImport": lambda: {"columns": []},
    "readNotification": lambda: {"all": True},
    "refresh": lambda: {"refresh_token": KNOWN["refresh"].pop()} if KNOWN["refresh"] else None,
    "refreshToken": lambda: {"refresh_token": KNOWN["refresh"].pop()} if KNOWN["refresh"] else None,
    "replaceActivity": lambda: {"type": "note", "note": "x"},
    "replaceCustomer": lambda: {"name": "Ann"},
    "replacePayment": payment,
    "register": lambda: {"username": f"new{next(NUMBERS)}", "password": "a long enough secret"},
    "replaceNotificationsPreference": lambda: {"preferences": [{"kind": "payment.received", "channel": "app", "isEnabled": True}]},
    "replaceRolePermission": lambda: {"permissions": ["read"]},
    "resetRequestPassword": lambda: {"email": "someone@example.com"},
    "revealAccount": lambda: {"reason": "the customer asks by phone"},
    "revealActivity": lambda: {"reason": "the customer asks by phone"},
    "revealCustomer": lambda: {"reason": "the customer asks by phone"},
    "revealPayment": lambda: {"reason": "the customer asks by phone"},
    "searchAccounts": dict,
    "searchActivities": dict,
    "searchCustomers": dict,
    "searchPayments": dict,
}


# The record of an operation that not every record is right for: parameter, and where it is known.
RECORDS = {
    "cancelJob": ("jobId", "queuedJobId"),
    "pauseJob": ("jobId", "queuedJobId"),
    "resumeJob": ("jobId", "pausedJobId"),
    "retryJob": ("jobId", "failedJobId"),
    "undoImport": ("importId", "committedImportId"),
    "getImportErrorsXlsx": ("importId", "committedImportId"),
    "getImportReport": ("importId", "committedImportId"),
    "cancelImport": ("importId", "importId"),
    "pauseImport": ("importId", "importId"),
    "resumeImport": ("importId", "importId"),
}


def operation_of(case):
    return case.operation.definition.raw.get("operationId")


def is_positive(case):
    return case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE


@schemathesis.hook
def before_call(context, case, kwargs):
    operation = operation_of(case)
    path = case.path_parameters
    # A generated key would be wrong, whatever the token beside it is.
    case.headers.pop("X-API-Key", None)
    # The run needs its own user, and the permissions of that user's role.
    if operation == "replaceRolePermission":
        path["roleName"] = "viewer"
    elif operation in ("changeUser", "deleteUser", "disableUser") and path.get("userId") not in KNOWN["userId"]:
        path["userId"] = one("userId")
    is_removed = operation.startswith("delete")
    for name in path if is_removed else ():
        if name in KNOWN and path[name] in known(name):
            path[name] = one(name, is_removed)
    # HTTP itself refuses longer addresses, without an answer of the API.
    for name in [name for name, value in case.query.items() if len(quote(str(value))) > 4_000]:
        del case.query[name]
    if not is_positive(case):
        return
    has_succeeded = time.monotonic() - SUCCEEDED.get(operation, 0) < MOMENT
    if has_succeeded and operation not in RECORDS and DICE.random() < 0.5:
        return
    for name in path:
        if name in KNOWN:
            path[name] = one(name, is_removed)
    for name in ("addressId", "contactPointId"):
        if name in path:
            path["customerId"], path[name] = one(name, is_removed)
    if operation in RECORDS:
        name, of = RECORDS[operation]
        path[name] = one(of)
    case.query.clear()
    if operation == "getActivitiesBulk":
        case.query["accountIds"] = one("accountId")
    for header in ("If-Match", "If-None-Match", "X-Sync-Token", "Idempotency-Key", "Prefer"):
        case.headers.pop(header, None)
    if operation == "replaceAccount":
        path["accountId"], case.body = one("account")
    elif operation in BODIES and (body := BODIES[operation]()) is not None:
        case.body = body


@schemathesis.hook
def after_call(context, case, response):
    # Other methods are tried with the same case.
    if is_positive(case) and case.method == case.operation.method.upper() and response.status_code < 400:
        SUCCEEDED[operation_of(case)] = time.monotonic()
