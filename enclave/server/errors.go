package server

import (
	"context"
	"errors"
	"maps"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/policy/ledger"
)

// Domain is the domain of every google.rpc.ErrorInfo.
const Domain = "yingbi"

// wire is what a reason looks like to a caller.
type wire struct {
	code   codes.Code
	en, zh string
}

// wires has every reason that a gateway may give. The texts say what a person
// can do; which rule refused is in the metadata.
var wires = map[ledger.Reason]wire{
	ledger.ReasonNoGrant:            {codes.PermissionDenied, "no grant permits this product for this purpose", "没有使用许可允许以此目的使用该产品"},
	ledger.ReasonGrantExpired:       {codes.PermissionDenied, "the grant's term is over or has not begun", "使用许可不在有效期内"},
	ledger.ReasonGrantRevoked:       {codes.PermissionDenied, "the grant has been revoked", "使用许可已被撤销"},
	ledger.ReasonPurposeNotGranted:  {codes.PermissionDenied, "the grant does not cover this purpose", "使用许可不包含该使用目的"},
	ledger.ReasonPurposeNoBasis:     {codes.PermissionDenied, "the product names no legal basis for this purpose", "该产品未列明此使用目的的法律依据"},
	ledger.ReasonQuotaExhausted:     {codes.ResourceExhausted, "the quota is used up", "使用额度已用尽"},
	ledger.ReasonShareExhausted:     {codes.ResourceExhausted, "the largest share of the population that may be looked up in this period is used up", "本周期可查询的人口比例上限已用尽"},
	ledger.ReasonBatchTooLarge:      {codes.InvalidArgument, "more identifiers or cells than a job may carry", "单个作业的标识或单元数量超过上限"},
	ledger.ReasonNotEntitled:        {codes.PermissionDenied, "no grant covers all of the cells asked for", "没有使用许可涵盖所请求的全部单元"},
	ledger.ReasonStanding:           {codes.PermissionDenied, "the enterprise's standing is suspended", "企业处于失信暂停状态"},
	ledger.ReasonNotPublished:       {codes.FailedPrecondition, "the product is not published", "产品尚未发布"},
	ledger.ReasonSuspended:          {codes.FailedPrecondition, "the product is suspended", "产品已暂停服务"},
	ledger.ReasonWithdrawn:          {codes.FailedPrecondition, "the product has been withdrawn", "产品已下线"},
	ledger.ReasonAssessmentExpired:  {codes.FailedPrecondition, "the product's risk assessment has expired", "产品的安全风险评估已过期"},
	ledger.ReasonGradeForbids:       {codes.PermissionDenied, "the resource's grade forbids this use", "数据分级不允许此用途"},
	ledger.ReasonNegativeList:       {codes.PermissionDenied, "a negative list forbids this product", "负面清单禁止该产品"},
	ledger.ReasonAuthorisationEnded: {codes.FailedPrecondition, "the authorisation that covers this product has ended", "授权已到期"},
	ledger.ReasonOutsideScope:       {codes.PermissionDenied, "outside the authorisation's scope", "超出授权范围"},
	ledger.ReasonConsentMissing:     {codes.FailedPrecondition, "the product holds personal information: the header must carry a consent root", "涉及个人信息，请求头须包含授权同意根"},
	ledger.ReasonNoTariff:           {codes.FailedPrecondition, "no tariff prices this product now", "该产品当前没有生效的收费标准"},
	ledger.ReasonOperatorRule:       {codes.PermissionDenied, "a rule of the operator forbids this", "运营机构规则禁止"},
	ledger.ReasonPolicyError:        {codes.PermissionDenied, "a policy could not be evaluated, so the request is denied", "策略无法判定，已拒绝"},
	ledger.ReasonEpochEnded:         {codes.FailedPrecondition, "this epoch or version is no longer served; evaluate again in the live one", "该周期或版本已停止服务，请在当前周期重新提交"},
	ledger.ReasonWrongOrigin:        {codes.InvalidArgument, "the header names another log", "请求头中的日志来源不符"},
	ledger.ReasonNotRegistered:      {codes.PermissionDenied, "the enterprise is not registered", "企业未注册"},
	ledger.ReasonWrongIdentity:      {codes.PermissionDenied, "the certificate does not permit this, or names another than the header", "证书身份不符"},
	ledger.ReasonBadSignature:       {codes.Unauthenticated, "the header's signature does not verify under the registered key", "请求签名无效"},
	ledger.ReasonBadRequest:         {codes.InvalidArgument, "the request is malformed", "请求格式有误"},
	ledger.ReasonJobReused:          {codes.AlreadyExists, "another request was settled under this job id", "该作业编号已用于另一请求"},
	ledger.ReasonUnknownProduct:     {codes.NotFound, "there is no such product", "产品不存在"},
	ledger.ReasonUnknownJob:         {codes.NotFound, "there is no such job of this enterprise", "作业不存在"},
	ledger.ReasonLookupsExhausted:   {codes.ResourceExhausted, "the job has no lookups left", "该作业的查询次数已用尽"},
	ledger.ReasonUploadsFull:        {codes.ResourceExhausted, "there is no place for this upload: use the earlier ones, or wait until they expire", "上传空间已满：请先使用此前上传的数据，或等待其过期"},
	ledger.ReasonRateLimited:        {codes.ResourceExhausted, "too many requests at once; try again", "请求过多，请稍后重试"},
	ledger.ReasonUnavailable:        {codes.Unavailable, "not now; try again", "暂不可用，请稍后重试"},
	ledger.ReasonInternal:           {codes.Internal, "an error inside the domain; the operator can see it", "域内错误，运营机构可查看"},
}

// Message is what a person is told of a reason, in the locale en or zh-CN;
// empty where it is none that a gateway gives.
func Message(reason ledger.Reason, locale string) string {
	if locale == "zh-CN" {
		return wires[reason].zh
	}
	return wires[reason].en
}

// toStatus is the one place where an error becomes what a caller sees.
func toStatus(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the caller gave up")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the call took too long")
	}
	e := new(gateway.Error)
	if !errors.As(err, &e) {
		e = &gateway.Error{Reason: ledger.ReasonInternal, Rule: "internal"}
	}
	w, ok := wires[e.Reason]
	if !ok {
		w = wires[ledger.ReasonInternal]
	}
	meta := maps.Clone(e.Meta)
	if meta == nil {
		meta = map[string]string{}
	}
	if e.Rule != "" {
		meta["rule"] = e.Rule
	}
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Reason: string(e.Reason), Domain: Domain, Metadata: meta},
		&errdetails.LocalizedMessage{Locale: "en", Message: w.en},
		&errdetails.LocalizedMessage{Locale: "zh-CN", Message: w.zh},
	}
	if e.Retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.Retry)})
	}
	st, derr := status.New(w.code, w.en).WithDetails(details...)
	if derr != nil {
		return status.Error(w.code, w.en)
	}
	return st.Err()
}
