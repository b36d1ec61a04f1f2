package sigv4

import (
	"crypto/hmac"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reason says which rule a claim breaks. A service's door maps it to its own codes.
type Reason string

// The reasons, in the order in which they are checked.
const (
	Missing         Reason = "no signature"               // neither form is present
	Malformed       Reason = "malformed signature"        // a part is missing, doubled or unreadable
	Unsupported     Reason = "unsupported signature form" // SigV4A, signed chunks
	UnknownKey      Reason = "unknown access key"         // no such AccessKeyID
	WrongToken      Reason = "wrong session token"        // not the one of the temporary key
	KeyExpired      Reason = "expired access key"         // temporary and over
	Skewed          Reason = "request time too skewed"    // clocks differ by more than MaxSkew
	Expired         Reason = "presigned request expired"  // beyond X-Amz-Expires
	HeaderNotSigned Reason = "header not signed"          // one that must be covered is not
	PayloadDiffers  Reason = "payload hash differs"       // the body is not the one announced
	Mismatch        Reason = "signature does not match"   // computed and claimed signature differ
)

// MaxSkew is how far a signer's clock may be off, either way (AWS: Elements of a
// request signature, "within 15 minutes").
const MaxSkew = 15 * time.Minute

// Limits on what Parse accepts: far above what any client sends, low enough that a
// hostile claim costs nothing.
const (
	maxClaim         = 8 << 10
	maxSignedHeaders = 128
	maxExpires       = 7 * 24 * time.Hour
)

// Error is a refused claim.
type Error struct {
	Reason Reason
	Detail string // what exactly, for the log and the caller; never a secret
}

// Error implements error.
func (e *Error) Error() string { return string(e.Reason) + ": " + e.Detail }

func refuse(r Reason, detail string) error { return &Error{r, detail} }

// Claim is a signature as a request carries it, not yet checked.
type Claim struct {
	Scope
	AccessKeyID   string
	SessionToken  string
	Time          time.Time
	SignedHeaders []string // lower-case, sorted
	Presigned     bool
	Expires       time.Duration // of the presigned form

	signature []byte
}

// Lookup finds the credentials of an access key.
type Lookup func(accessKeyID string) (Credentials, bool)

// Verify parses and checks the signature of r; it returns whose it is.
func Verify(r *Request, lookup Lookup, now time.Time) (*Claim, error) {
	c, err := Parse(r)
	if err != nil {
		return nil, err
	}
	cred, ok := lookup(c.AccessKeyID)
	if !ok {
		return nil, refuse(UnknownKey, "no access key "+quote(c.AccessKeyID)+" is configured here")
	}
	if err := c.Verify(r, cred, now); err != nil {
		return nil, err
	}
	return c, nil
}

// Parse reads the claim of r, header form or presigned form, without judging it.
func Parse(r *Request) (*Claim, error) {
	auth := values(r.Header, "authorization")
	presigned := queryParam(r.Query, "X-Amz-Algorithm") != nil || queryParam(r.Query, "X-Amz-Signature") != nil
	switch {
	case len(auth) == 0 && !presigned:
		return nil, refuse(Missing, "the request has neither an Authorization field nor an X-Amz-Signature parameter")
	case len(auth) > 0 && presigned:
		return nil, refuse(Malformed, "use either the Authorization field or the X-Amz-Signature parameter, not both")
	case presigned:
		return parsePresigned(r)
	case len(auth) > 1:
		return nil, refuse(Malformed, "more than one Authorization field")
	}
	return parseHeader(r, auth[0])
}

func parseHeader(r *Request, auth string) (*Claim, error) {
	if len(auth) > maxClaim {
		return nil, refuse(Malformed, "the Authorization field is longer than "+strconv.Itoa(maxClaim)+" bytes")
	}
	algorithm, rest, _ := strings.Cut(strings.Trim(auth, " "), " ")
	if err := checkAlgorithm(algorithm); err != nil {
		return nil, err
	}
	parts := map[string]string{}
	for p := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.Trim(p, " \t"), "=")
		if _, twice := parts[name]; !ok || twice {
			return nil, refuse(Malformed, "the Authorization field must have Credential, SignedHeaders and Signature once each")
		}
		parts[name] = value
	}
	c := &Claim{}
	if err := c.fill(parts["Credential"], parts["SignedHeaders"], parts["Signature"]); err != nil {
		return nil, err
	}
	if err := c.readTime(r, parts["Credential"]); err != nil {
		return nil, err
	}
	tokens := values(r.Header, "x-amz-security-token")
	if len(tokens) > 1 {
		return nil, refuse(Malformed, "more than one X-Amz-Security-Token field")
	}
	if len(tokens) == 1 {
		c.SessionToken = tokens[0]
	}
	return c, nil
}

// readTime takes the time from X-Amz-Date, or from Date where that is absent.
func (c *Claim) readTime(r *Request, credential string) error {
	if v := values(r.Header, "x-amz-date"); len(v) == 1 {
		return c.setTime(v[0], credential)
	} else if len(v) > 1 {
		return refuse(Malformed, "more than one X-Amz-Date field")
	}
	v := values(r.Header, "date")
	if len(v) != 1 {
		return refuse(Malformed, "the request needs one X-Amz-Date field")
	}
	t, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", v[0])
	if err != nil {
		return c.setTime(v[0], credential)
	}
	return c.setTime(t.UTC().Format(timeFormat), credential)
}

func parsePresigned(r *Request) (*Claim, error) {
	if len(r.Query) > 4*maxClaim {
		return nil, refuse(Malformed, "the query is longer than "+strconv.Itoa(4*maxClaim)+" bytes")
	}
	get := func(name string) (string, error) {
		v := queryParam(r.Query, name)
		if len(v) != 1 {
			return "", refuse(Malformed, "the query needs "+name+" once")
		}
		return v[0], nil
	}
	fields := [6]string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date", "X-Amz-Expires"}
	var got [6]string
	for i, name := range fields {
		v, err := get(name)
		if err != nil {
			return nil, err
		}
		got[i] = v
	}
	if err := checkAlgorithm(got[0]); err != nil {
		return nil, err
	}
	c := &Claim{Presigned: true}
	if err := c.fill(got[1], got[2], got[3]); err != nil {
		return nil, err
	}
	if err := c.setTime(got[4], got[1]); err != nil {
		return nil, err
	}
	seconds, err := strconv.ParseUint(got[5], 10, 31)
	c.Expires = time.Duration(seconds) * time.Second
	if err != nil || seconds == 0 || c.Expires > maxExpires {
		return nil, refuse(Malformed, "X-Amz-Expires must be 1 to 604800 seconds")
	}
	if v := queryParam(r.Query, "X-Amz-Security-Token"); len(v) == 1 {
		c.SessionToken = v[0]
	} else if len(v) > 1 {
		return nil, refuse(Malformed, "the query has X-Amz-Security-Token twice")
	}
	return c, nil
}

func checkAlgorithm(a string) error {
	switch {
	case a == Algorithm:
		return nil
	case strings.HasPrefix(a, "AWS4-"):
		return refuse(Unsupported, "algorithm "+quote(a)+": only "+Algorithm+" is understood")
	}
	return refuse(Missing, "the authorization scheme is not "+Algorithm)
}

// fill reads the three parts that both forms have.
func (c *Claim) fill(credential, signed, sig string) error {
	p := strings.Split(credential, "/")
	// An access key id has no slash in AWS, but other services' may: count from the end.
	if len(p) < 5 || p[len(p)-1] != terminator {
		return refuse(Malformed, "Credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request")
	}
	n := len(p)
	c.AccessKeyID, c.Region, c.Service = strings.Join(p[:n-4], "/"), p[n-3], p[n-2]
	if c.AccessKeyID == "" || c.Region == "" || c.Service == "" {
		return refuse(Malformed, "Credential has an empty part")
	}
	c.SignedHeaders = strings.Split(signed, ";")
	if len(c.SignedHeaders) > maxSignedHeaders {
		return refuse(Malformed, "more than "+strconv.Itoa(maxSignedHeaders)+" signed headers")
	}
	for i, name := range c.SignedHeaders {
		if name == "" || name != strings.ToLower(name) || i > 0 && c.SignedHeaders[i-1] >= name {
			return refuse(Malformed, "SignedHeaders must be lower-case, sorted and without repetition")
		}
	}
	raw, err := hex.DecodeString(sig)
	if err != nil || len(raw) != 32 {
		return refuse(Malformed, "Signature must be 64 hex digits")
	}
	c.signature = raw
	return nil
}

// setTime reads an X-Amz-Date and compares its day with the credential's.
func (c *Claim) setTime(date, credential string) error {
	t, err := time.Parse(timeFormat, date)
	if err != nil {
		return refuse(Malformed, "X-Amz-Date must have the form 20060102T150405Z")
	}
	c.Time = t
	p := strings.Split(credential, "/")
	if p[len(p)-4] != t.Format(dayFormat) {
		return refuse(Malformed, "the day in Credential is not that of X-Amz-Date")
	}
	return nil
}

// Verify checks the claim against r and the credentials of c.AccessKeyID. r.PayloadHash
// must be computed from the body, not taken from the request; UnsignedPayload there
// tells that the caller will not look at the body's integrity.
func (c *Claim) Verify(r *Request, cred Credentials, now time.Time) error {
	if err := c.checkTime(cred, now); err != nil {
		return err
	}
	if !hmac.Equal([]byte(c.SessionToken), []byte(cred.SessionToken)) {
		return refuse(WrongToken, "X-Amz-Security-Token is not the token of access key "+quote(c.AccessKeyID))
	}
	if err := c.checkCovered(r); err != nil {
		return err
	}
	payload, err := c.payload(r)
	if err != nil {
		return err
	}
	h := newHeaders(r, func(name string) bool { _, ok := slices.BinarySearch(c.SignedHeaders, name); return ok })
	if h.names() != strings.Join(c.SignedHeaders, ";") {
		return refuse(Mismatch, "SignedHeaders names a field that the request does not have")
	}
	query := canonicalQuery(r.Query, "")
	if c.Presigned {
		query = canonicalQuery(r.Query, "X-Amz-Signature")
	}
	// The rules ask for a normalized path, but AWS's Go SDK signs the path as it is.
	paths := []string{canonicalPath(r.Path, c.Service, true)}
	if as := canonicalPath(r.Path, c.Service, false); as != paths[0] {
		paths = append(paths, as)
	}
	for _, path := range paths {
		want := signature(canonicalRequest(r.Method, path, query, h, payload), cred.SecretAccessKey, c.Scope, c.Time)
		if hmac.Equal(want, c.signature) { // constant time
			return nil
		}
	}
	return refuse(Mismatch, "check the secret key of "+quote(c.AccessKeyID)+" and that no proxy changed the request")
}

func (c *Claim) checkTime(cred Credentials, now time.Time) error {
	if !cred.Expires.IsZero() && !now.Before(cred.Expires) {
		return refuse(KeyExpired, "access key "+quote(c.AccessKeyID)+" has expired; get new credentials")
	}
	age := now.Sub(c.Time)
	if age < -MaxSkew || !c.Presigned && age > MaxSkew {
		return refuse(Skewed, "signed at "+c.Time.Format(timeFormat)+", it is "+now.UTC().Format(timeFormat)+" here; set the clock")
	}
	if c.Presigned && age > c.Expires {
		return refuse(Expired, "the signature was good until "+c.Time.Add(c.Expires).Format(timeFormat))
	}
	return nil
}

// checkCovered insists that host, the protocol's own fields and the precondition that
// guards a write are signed wherever they are sent: whoever could add or change one
// unnoticed could change what the request means.
func (c *Claim) checkCovered(r *Request) error {
	covered := func(name string) bool { return slices.Contains(c.SignedHeaders, name) }
	if !covered("host") {
		return refuse(HeaderNotSigned, "host must be among SignedHeaders")
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		if (strings.HasPrefix(name, "x-amz-") || name == "if-match") && !covered(name) {
			return refuse(HeaderNotSigned, quote(name)+" must be among SignedHeaders")
		}
	}
	if !c.Presigned && len(values(r.Header, "x-amz-date")) == 0 && !covered("date") {
		return refuse(HeaderNotSigned, "x-amz-date or date must be among SignedHeaders")
	}
	return nil
}

// payload returns the hash that goes into the canonical request.
func (c *Claim) payload(r *Request) (string, error) {
	announced := values(r.Header, "x-amz-content-sha256")
	switch {
	case len(announced) > 1:
		return "", refuse(Malformed, "more than one X-Amz-Content-Sha256 field")
	case len(announced) == 0 && c.Presigned && singleEncoded(c.Service):
		return UnsignedPayload, nil
	case len(announced) == 0:
		return r.payload(), nil
	}
	a := announced[0]
	if strings.HasPrefix(a, "STREAMING-") {
		return "", refuse(Unsupported, "X-Amz-Content-Sha256 "+quote(a)+": signed chunks are not understood")
	}
	if a == UnsignedPayload && singleEncoded(c.Service) {
		return a, nil
	}
	if a != r.payload() {
		return "", refuse(PayloadDiffers, "X-Amz-Content-Sha256 is not the hash of the body")
	}
	return a, nil
}

func values(h map[string][]string, name string) []string {
	var out []string
	for n, v := range h {
		if strings.EqualFold(n, name) {
			out = append(out, v...)
		}
	}
	return out
}

// queryParam returns the decoded values of a parameter, nil when it is absent.
func queryParam(query, name string) []string {
	var out []string
	for p := range strings.SplitSeq(query, "&") {
		n, v, _ := strings.Cut(p, "=")
		if unescape(n, true) == name {
			out = append(out, unescape(v, true))
		}
	}
	return out
}

// quote makes a piece of a foreign request fit for a message.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.QuoteToASCII(s)
}
