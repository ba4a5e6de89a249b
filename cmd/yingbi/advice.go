package main

import (
	"github.com/yingbi/yingbi/policy/ledger"
)

// advice says what a reason means to a person and what to do about it; empty
// for what is no reason.
func (e *env) advice(r ledger.Reason) string {
	switch r {
	case ledger.ReasonNoGrant:
		return e.T("advice.NO_GRANT")
	case ledger.ReasonGrantExpired:
		return e.T("advice.GRANT_EXPIRED")
	case ledger.ReasonGrantRevoked:
		return e.T("advice.GRANT_REVOKED")
	case ledger.ReasonPurposeNotGranted:
		return e.T("advice.PURPOSE_NOT_GRANTED")
	case ledger.ReasonPurposeNoBasis:
		return e.T("advice.PURPOSE_WITHOUT_BASIS")
	case ledger.ReasonQuotaExhausted:
		return e.T("advice.QUOTA_EXHAUSTED")
	case ledger.ReasonShareExhausted:
		return e.T("advice.POPULATION_SHARE")
	case ledger.ReasonBatchTooLarge:
		return e.T("advice.BATCH_TOO_LARGE")
	case ledger.ReasonStanding:
		return e.T("advice.STANDING_SUSPENDED")
	case ledger.ReasonNotPublished:
		return e.T("advice.PRODUCT_NOT_PUBLISHED")
	case ledger.ReasonSuspended:
		return e.T("advice.PRODUCT_SUSPENDED")
	case ledger.ReasonWithdrawn:
		return e.T("advice.PRODUCT_WITHDRAWN")
	case ledger.ReasonAssessmentExpired:
		return e.T("advice.ASSESSMENT_EXPIRED")
	case ledger.ReasonGradeForbids:
		return e.T("advice.GRADE_FORBIDS")
	case ledger.ReasonNegativeList:
		return e.T("advice.NEGATIVE_LIST")
	case ledger.ReasonAuthorisationEnded:
		return e.T("advice.AUTHORISATION_ENDED")
	case ledger.ReasonOutsideScope:
		return e.T("advice.OUTSIDE_AUTHORISATION")
	case ledger.ReasonConsentMissing:
		return e.T("advice.CONSENT_MISSING")
	case ledger.ReasonNoTariff:
		return e.T("advice.NO_TARIFF")
	case ledger.ReasonOperatorRule:
		return e.T("advice.OPERATOR_RULE")
	case ledger.ReasonPolicyError:
		return e.T("advice.POLICY_ERROR")
	case ledger.ReasonEpochEnded:
		return e.T("advice.EPOCH_ENDED")
	case ledger.ReasonWrongOrigin:
		return e.T("advice.WRONG_ORIGIN")
	case ledger.ReasonNotRegistered:
		return e.T("advice.ENTERPRISE_NOT_REGISTERED")
	case ledger.ReasonWrongIdentity:
		return e.T("advice.WRONG_IDENTITY")
	case ledger.ReasonBadSignature:
		return e.T("advice.BAD_SIGNATURE")
	case ledger.ReasonBadRequest:
		return e.T("advice.BAD_REQUEST")
	case ledger.ReasonJobReused:
		return e.T("advice.JOB_REUSED")
	case ledger.ReasonUnknownProduct:
		return e.T("advice.UNKNOWN_PRODUCT")
	case ledger.ReasonUnknownJob:
		return e.T("advice.UNKNOWN_JOB")
	case ledger.ReasonLookupsExhausted:
		return e.T("advice.LOOKUPS_EXHAUSTED")
	case ledger.ReasonNotEntitled:
		return e.T("advice.NOT_ENTITLED")
	case ledger.ReasonUploadsFull:
		return e.T("advice.UPLOADS_FULL")
	case ledger.ReasonRateLimited:
		return e.T("advice.RATE_LIMITED")
	case ledger.ReasonUnavailable:
		return e.T("advice.UNAVAILABLE")
	case ledger.ReasonInternal:
		return e.T("advice.INTERNAL")
	case ledger.ReasonOperatorDecision:
		return e.T("advice.OPERATOR_DECISION")
	case ledger.ReasonRiskFound:
		return e.T("advice.RISK_FOUND")
	case ledger.ReasonEndOfService:
		return e.T("advice.END_OF_SERVICE")
	case ledger.ReasonBreachOfContract:
		return e.T("advice.BREACH_OF_CONTRACT")
	case ledger.ReasonRemedied:
		return e.T("advice.REMEDIED")
	}
	return ""
}
