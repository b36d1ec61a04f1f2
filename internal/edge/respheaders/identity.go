package respheaders

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"

	"pqfront/internal/httpfield"
)

// Result is how a request was answered, in the words of x-cache and of the log field
// x-edge-result-type (CloudFront: Standard log file fields).
type Result string

// The results.
const (
	Hit                       Result = "Hit"
	Miss                      Result = "Miss"
	RefreshHit                Result = "RefreshHit" // revalidated: the origin answered 304
	Error                     Result = "Error"      // 4xx and 5xx, ours or the origin's
	Redirect                  Result = "Redirect"   // from HTTP to HTTPS
	LimitExceeded             Result = "LimitExceeded"
	CapacityExceeded          Result = "CapacityExceeded"
	FunctionGeneratedResponse Result = "FunctionGeneratedResponse"
	FunctionExecutionError    Result = "FunctionExecutionError"
)

// DefaultPOP is the edge location that we claim when none is configured: well-formed
// and nobody's airport.
const DefaultPOP = "PQF50-P1"

// Identity is whose words our own header fields and pages speak. It is made once per
// process and never changed.
type Identity struct {
	name   string // after "from" in x-cache
	server string // Server of generated answers
	pop    string
	via    string

	popField, idField string
	ownPrefix         string // of fields that no policy may remove
	xCache            map[Result]string
}

// NewIdentity returns the identity called name: "cloudfront" (CloudFront's words) or
// "pqfront" (our own). host is this host's part of Via, the same for the life of the
// process; pop is the edge location's code, "" for DefaultPOP.
func NewIdentity(name string, host [16]byte, pop string) (*Identity, error) {
	if pop == "" {
		pop = DefaultPOP
	}
	var problems []error
	if !popForm.MatchString(pop) {
		problems = append(problems, fmt.Errorf("edge location %q: want three capital letters, a number and optionally -letter and number, e.g. %s", pop, DefaultPOP))
	}
	id := &Identity{name: name, pop: pop}
	h := hex.EncodeToString(host[:])
	switch name {
	case "cloudfront":
		id.server = "CloudFront"
		id.via = "1.1 " + h + ".cloudfront.net (CloudFront)"
		id.popField, id.idField, id.ownPrefix = "x-amz-cf-pop", "x-amz-cf-id", "x-amz-cf-"
	case "pqfront":
		id.server = "pqfront"
		id.via = "1.1 " + h + ".pqfront (pqfront)"
		id.popField, id.idField, id.ownPrefix = "x-pqfront-pop", "x-pqfront-id", "x-pqfront-"
	default:
		problems = append(problems, fmt.Errorf("identity %q: want cloudfront or pqfront", name))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	id.xCache = make(map[Result]string)
	for _, r := range []Result{Hit, Miss, RefreshHit, Error, Redirect, LimitExceeded, CapacityExceeded,
		FunctionGeneratedResponse, FunctionExecutionError} {
		id.xCache[r] = string(r) + " from " + name
	}
	return id, nil
}

// popForm: CloudFront: Standard log file fields, x-edge-location.
var popForm = regexp.MustCompile(`^[A-Z]{3}[0-9]{1,3}(-[A-Z][0-9]{1,2})?$`)

// Name returns "cloudfront" or "pqfront".
func (id *Identity) Name() string { return id.name }

// POP returns the edge location's code, for logs.
func (id *Identity) POP() string { return id.pop }

// Server returns the Server field of generated answers.
func (id *Identity) Server() string { return id.server }

// Via returns the Via entry of this host; requests to origins carry it too.
func (id *Identity) Via() string { return id.via }

// IDField returns the name of the field that carries the request id, towards viewers
// and towards origins.
func (id *Identity) IDField() string { return id.idField }

// owns reports whether name is one of our own fields, which neither an origin nor a
// policy may set.
func (id *Identity) owns(name string) bool {
	return len(name) > len(id.ownPrefix) && name[:len(id.ownPrefix)] == id.ownPrefix
}

// appendOwn appends x-cache, via, pop, alt-svc and id.
func (id *Identity) appendOwn(out httpfield.Fields, r Result, origin httpfield.Fields, altSvc, requestID string) httpfield.Fields {
	x, ok := id.xCache[r]
	if !ok {
		x = string(r) + " from " + id.name
	}
	via := id.via
	if before := origin.Joined("via"); before != "" {
		via = before + ", " + via // RFC 9110, Section 7.6.3
	}
	out = append(out,
		httpfield.Field{Name: "x-cache", Value: x},
		httpfield.Field{Name: "via", Value: via},
		httpfield.Field{Name: id.popField, Value: id.pop})
	if altSvc != "" {
		out = append(out, httpfield.Field{Name: "alt-svc", Value: altSvc})
	}
	if requestID != "" {
		out = append(out, httpfield.Field{Name: id.idField, Value: requestID})
	}
	return out
}
