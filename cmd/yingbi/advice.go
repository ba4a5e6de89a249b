package main

import (
	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/policy/ledger"
)

// advice says what a reason means to a person and what to do about it; empty
// for what is no reason.
func advice(r ledger.Reason) string {
	switch r {
	case ledger.ReasonNoGrant:
		return text.T("advice.NO_GRANT")
	case ledger.ReasonGrantExpired:
		return text.T("advice.GRANT_EXPIRED")
	case ledger.ReasonGrantRevoked:
		return text.T("advice.GRANT_REVOKED")
	case ledger.ReasonPurposeNotGranted:
		return text.T("advice.PURPOSE_NOT_GRANTED")
	case ledger.ReasonPurposeNoBasis:
		return text.T("advice.PURPOSE_WITHOUT_BASIS")
	case ledger.ReasonQuotaExhausted:
		return text.T("advice.QUOTA_EXHAUSTED")
	case ledger.ReasonShareExhausted:
		return text.T("advice.POPULATION_SHARE")
	case ledger.ReasonBatchTooLarge:
		return text.T("advice.BATCH_TOO_LARGE")
	case ledger.ReasonStanding:
		return text.T("advice.STANDING_SUSPENDED")
	case ledger.ReasonNotPublished:
		return text.T("advice.PRODUCT_NOT_PUBLISHED")
	case ledger.ReasonSuspended:
		return text.T("advice.PRODUCT_SUSPENDED")
	case ledger.ReasonWithdrawn:
		return text.T("advice.PRODUCT_WITHDRAWN")
	case ledger.ReasonAssessmentExpired:
		return text.T("advice.ASSESSMENT_EXPIRED")
	case ledger.ReasonGradeForbids:
		return text.T("advice.GRADE_FORBIDS")
	case ledger.ReasonNegativeList:
		return text.T("advice.NEGATIVE_LIST")
	case ledger.ReasonAuthorisationEnded:
		return text.T("advice.AUTHORISATION_ENDED")
	case ledger.ReasonOutsideScope:
		return text.T("advice.OUTSIDE_AUTHORISATION")
	case ledger.ReasonConsentMissing:
		return text.T("advice.CONSENT_MISSING")
	case ledger.ReasonNoTariff:
		return text.T("advice.NO_TARIFF")
	case ledger.ReasonOperatorRule:
		return text.T("advice.OPERATOR_RULE")
	case ledger.ReasonPolicyError:
		return text.T("advice.POLICY_ERROR")
	case ledger.ReasonEpochEnded:
		return text.T("advice.EPOCH_ENDED")
	case ledger.ReasonWrongOrigin:
		return text.T("advice.WRONG_ORIGIN")
	case ledger.ReasonNotRegistered:
		return text.T("advice.ENTERPRISE_NOT_REGISTERED")
	case ledger.ReasonWrongIdentity:
		return text.T("advice.WRONG_IDENTITY")
	case ledger.ReasonBadSignature:
		return text.T("advice.BAD_SIGNATURE")
	case ledger.ReasonBadRequest:
		return text.T("advice.BAD_REQUEST")
	case ledger.ReasonJobReused:
		return text.T("advice.JOB_REUSED")
	case ledger.ReasonUnknownProduct:
		return text.T("advice.UNKNOWN_PRODUCT")
	case ledger.ReasonUnknownJob:
		return text.T("advice.UNKNOWN_JOB")
	case ledger.ReasonLookupsExhausted:
		return text.T("advice.LOOKUPS_EXHAUSTED")
	case ledger.ReasonRateLimited:
		return text.T("advice.RATE_LIMITED")
	case ledger.ReasonUnavailable:
		return text.T("advice.UNAVAILABLE")
	case ledger.ReasonInternal:
		return text.T("advice.INTERNAL")
	case ledger.ReasonOperatorDecision:
		return text.T("advice.OPERATOR_DECISION")
	case ledger.ReasonRiskFound:
		return text.T("advice.RISK_FOUND")
	case ledger.ReasonEndOfService:
		return text.T("advice.END_OF_SERVICE")
	case ledger.ReasonBreachOfContract:
		return text.T("advice.BREACH_OF_CONTRACT")
	case ledger.ReasonRemedied:
		return text.T("advice.REMEDIED")
	}
	return ""
}
