"""Two views of Django between the password and the session: what the log-in needs, and the code that was typed."""

from dataclasses import asdict

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import JsonResponse
from django.views.decorators.http import require_POST
from mfa_service_client import AssertionVerifier, MfaClient, MfaError, once_in_memory, remote_keys
from mfa_service_client.log_in import PendingLogIn, kind_of

mfa = MfaClient(settings.MFA_ADDRESS, settings.MFA_KEY, tls=settings.MFA_TLS)
# Of several processes each notes ids for itself: insert them into a table that all share instead.
verifier = AssertionVerifier("mfa-service", settings.MFA_AUDIENCE, remote_keys(settings.MFA_KEYS), once_in_memory())


def begin(request, user):
    """Called once the password was right, in the place of `login(request, user)`."""
    client = {"ip": request.META["REMOTE_ADDR"], "user_agent": request.headers.get("user-agent", "")[:500]}
    begun = mfa.log_ins.begin(user.get_username(), client)
    if begun.session is not None:
        return enter(request, user, begun.session)
    if begun.log_in is None:
        return JsonResponse({"next": begun.next, "ticket": begun.ticket}, status=403)
    request.session["mfa_log_in"] = asdict(begun.log_in)
    return JsonResponse({"next": "prove", "kinds": [kind_of(factor) for factor in begun.factors]})


@require_POST
def prove(request):
    """The code, and the kind that it is of."""
    log_in = PendingLogIn(**request.session["mfa_log_in"])
    try:
        left = mfa.log_ins.answer(log_in, request.POST["kind"], request.POST["code"])
        if left:
            return JsonResponse({"next": "prove", "kinds": [kind_of(factor) for factor in left]})
        session = mfa.log_ins.finish(log_in, verifier, settings.MFA_TENANT)
    except MfaError as refusal:
        return JsonResponse({"reason": refusal.reason, "retry_after": refusal.retry_after}, status=403)
    del request.session["mfa_log_in"]
    return enter(request, User.objects.get(username=log_in.user_id), session)


def enter(request, user, session):
    login(request, user)
    request.session["mfa"] = asdict(session)
    return JsonResponse({"next": "done", "acr": session.acr})
