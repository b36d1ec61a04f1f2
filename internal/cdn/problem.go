package cdn

import (
	"fmt"
	"strings"
)

// CloudFront's error codes, as Problem.Code has them
// (CloudFront API Reference: CreateDistribution, Errors, and its siblings).
const (
	CodeCNAMEAlreadyExists                  = "CNAMEAlreadyExists"
	CodeDistributionAlreadyExists           = "DistributionAlreadyExists"
	CodeIllegalOriginAccessConfiguration    = "IllegalOriginAccessConfiguration"
	CodeInconsistentQuantities              = "InconsistentQuantities"
	CodeInvalidArgument                     = "InvalidArgument"
	CodeInvalidDefaultRootObject            = "InvalidDefaultRootObject"
	CodeInvalidDomainNameForAccessControl   = "InvalidDomainNameForOriginAccessControl"
	CodeInvalidErrorCode                    = "InvalidErrorCode"
	CodeInvalidForwardCookies               = "InvalidForwardCookies"
	CodeInvalidGeoRestrictionParameter      = "InvalidGeoRestrictionParameter"
	CodeInvalidHeadersForS3Origin           = "InvalidHeadersForS3Origin"
	CodeInvalidLocationCode                 = "InvalidLocationCode"
	CodeInvalidMinimumProtocolVersion       = "InvalidMinimumProtocolVersion"
	CodeInvalidOrigin                       = "InvalidOrigin"
	CodeInvalidOriginAccessControl          = "InvalidOriginAccessControl"
	CodeInvalidOriginAccessIdentity         = "InvalidOriginAccessIdentity"
	CodeInvalidOriginKeepaliveTimeout       = "InvalidOriginKeepaliveTimeout"
	CodeInvalidOriginReadTimeout            = "InvalidOriginReadTimeout"
	CodeInvalidProtocolSettings             = "InvalidProtocolSettings"
	CodeInvalidQueryStringParameters        = "InvalidQueryStringParameters"
	CodeInvalidRelativePath                 = "InvalidRelativePath"
	CodeInvalidRequiredProtocol             = "InvalidRequiredProtocol"
	CodeInvalidResponseCode                 = "InvalidResponseCode"
	CodeInvalidTTLOrder                     = "InvalidTTLOrder"
	CodeInvalidTagging                      = "InvalidTagging"
	CodeInvalidViewerCertificate            = "InvalidViewerCertificate"
	CodeNoSuchCachePolicy                   = "NoSuchCachePolicy"
	CodeNoSuchDistribution                  = "NoSuchDistribution"
	CodeNoSuchOrigin                        = "NoSuchOrigin"
	CodeNoSuchOriginAccessControl           = "NoSuchOriginAccessControl"
	CodeNoSuchOriginRequestPolicy           = "NoSuchOriginRequestPolicy"
	CodeNoSuchResponseHeadersPolicy         = "NoSuchResponseHeadersPolicy"
	CodeTooLongCSP                          = "TooLongCSPInResponseHeadersPolicy"
	CodeTooManyCacheBehaviors               = "TooManyCacheBehaviors"
	CodeTooManyCookieNamesInWhiteList       = "TooManyCookieNamesInWhiteList"
	CodeTooManyCookiesInCachePolicy         = "TooManyCookiesInCachePolicy"
	CodeTooManyCookiesInOriginRequestPolicy = "TooManyCookiesInOriginRequestPolicy"
	CodeTooManyCustomHeadersInPolicy        = "TooManyCustomHeadersInResponseHeadersPolicy"
	CodeTooManyDistributionCNAMEs           = "TooManyDistributionCNAMEs"
	CodeTooManyHeadersInCachePolicy         = "TooManyHeadersInCachePolicy"
	CodeTooManyHeadersInForwardedValues     = "TooManyHeadersInForwardedValues"
	CodeTooManyHeadersInOriginRequestPolicy = "TooManyHeadersInOriginRequestPolicy"
	CodeTooManyOriginCustomHeaders          = "TooManyOriginCustomHeaders"
	CodeTooManyOriginGroups                 = "TooManyOriginGroupsPerDistribution"
	CodeTooManyOrigins                      = "TooManyOrigins"
	CodeTooManyQueryStringParameters        = "TooManyQueryStringParameters"
	CodeTooManyQueryStringsInCachePolicy    = "TooManyQueryStringsInCachePolicy"
	CodeTooManyQueryStringsInOriginRequest  = "TooManyQueryStringsInOriginRequestPolicy"
	CodeTooManyRemoveHeadersInPolicy        = "TooManyRemoveHeadersInResponseHeadersPolicy"
)

// String returns the field and the message.
func (p Problem) String() string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}

// problems collects what a constructor finds.
type problems []Problem

// add notes that field breaks a rule; the message says what is wrong and, after a
// colon, how to mend it.
func (ps *problems) add(code, field, format string, args ...any) {
	*ps = append(*ps, Problem{Field: field, Message: fmt.Sprintf(format, args...), Code: code})
}

// oneOf checks an enumeration; "" is reported as missing.
func (ps *problems) oneOf(code, field, value string, allowed ...string) bool {
	for _, a := range allowed {
		if value == a {
			return true
		}
	}
	if value == "" {
		ps.add(code, field, "is missing: use %s", orList(allowed))
	} else {
		ps.add(code, field, "%q is not known: use %s", value, orList(allowed))
	}
	return false
}

// required checks that a text is there and not longer than most.
func (ps *problems) required(field, value string, most int) {
	if value == "" {
		ps.add(CodeInvalidArgument, field, "is missing: give it a value")
		return
	}
	ps.longest(field, value, most)
}

// longest checks the length of a text in bytes.
func (ps *problems) longest(field, value string, most int) {
	if len(value) > most {
		ps.add(CodeInvalidArgument, field, "has %d characters: use at most %d", len(value), most)
	}
}

// orList makes "a, b or c".
func orList(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " or " + items[last]
}

// item is the field path of a list's member.
func item(list string, i int) string { return fmt.Sprintf("%s.Items[%d]", list, i) }
