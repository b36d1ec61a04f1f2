// Package cdn answers: what is a distribution, a cache behavior, an origin, a
// policy - and is this one valid?
//
// The types are CloudFront's nouns without its wire: no Quantity/Items, no JSON or
// XML tags. Values are made by the constructors (New...), which check every rule and
// report all problems at once, and are not changed afterwards. The package imports
// only the standard library.
package cdn

import "time"

// State is everything that an edge is configured with, before it is compiled.
// It is a value: a change makes a new State.
type State struct {
	Distributions           []*Distribution
	CachePolicies           map[string]*CachePolicy           // by id, managed ones not included
	OriginRequestPolicies   map[string]*OriginRequestPolicy   // by id, managed ones not included
	ResponseHeadersPolicies map[string]*ResponseHeadersPolicy // by id, managed ones not included
	OriginAccessControls    map[string]*OriginAccessControl   // by id
}

// Distribution is one CloudFront distribution.
type Distribution struct {
	ID                string // E + 13 upper-case letters and digits
	ARN               string
	DomainName        string // the distribution's own name, d....cloudfront.net; lower-case
	CallerReference   string
	Comment           string
	Enabled           bool
	Aliases           []string // lower-case; a leading "*." is a wildcard
	DefaultRootObject string   // without leading slash
	Origins           []Origin
	OriginGroups      []OriginGroup
	DefaultBehavior   Behavior   // PathPattern "*"
	Behaviors         []Behavior // in order; the first match wins
	ErrorResponses    []ErrorResponse
	Geo               GeoRestriction
	Viewer            ViewerCertificate
	HTTP2, HTTP3      bool
	IPv6              bool
	PriceClass        string
	WebACLID          string
	Logging           Logging
	Tags              map[string]string
	Source            string // where it was read from (file name), for messages
}

// ViewerCertificate says which certificate and security policy viewers meet.
type ViewerCertificate struct {
	Default        bool   // the certificate for DomainName; the policy is then TLSv1
	ACMARN         string // or
	IAMID          string
	SupportMethod  string // "sni-only", "vip", "static-ip"
	SecurityPolicy string // MinimumProtocolVersion: the policy's name
}

// Origin is where objects come from.
type Origin struct {
	ID         string
	DomainName string // lower-case, without port
	Path       string // "" or "/prefix", no trailing slash
	Headers    []CustomHeader
	S3         *S3Origin     // exactly one of S3 and Custom
	Custom     *CustomOrigin //
	// ConnectionAttempts is 1-3, ConnectionTimeout 1-10 s.
	ConnectionAttempts int
	ConnectionTimeout  time.Duration
	// ResponseCompletionTimeout limits the whole response; 0 = no limit.
	ResponseCompletionTimeout time.Duration
	AccessControlID           string // origin access control; "" = none
	ShieldEnabled             bool
	ShieldRegion              string
}

// CustomHeader is added to every request to an origin.
type CustomHeader struct{ Name, Value string }

// S3Origin is an Amazon S3 (or S3-compatible) bucket addressed by its REST name.
type S3Origin struct {
	OriginAccessIdentity string
	ReadTimeout          time.Duration // default 30 s
}

// CustomOrigin is any HTTP server.
type CustomOrigin struct {
	HTTPPort, HTTPSPort int
	ProtocolPolicy      OriginProtocol
	SSLProtocols        []string // SSLv3, TLSv1, TLSv1.1, TLSv1.2
	ReadTimeout         time.Duration
	KeepaliveTimeout    time.Duration
}

// OriginProtocol says which scheme an origin is spoken to in.
type OriginProtocol string

// The origin protocol policies.
const (
	OriginHTTPOnly    OriginProtocol = "http-only"
	OriginHTTPSOnly   OriginProtocol = "https-only"
	OriginMatchViewer OriginProtocol = "match-viewer"
)

// OriginGroup is a primary and a secondary origin with failover between them.
type OriginGroup struct {
	ID          string
	StatusCodes []int    // codes of the primary that fail over
	Members     []string // exactly two origin ids: primary, secondary
}

// Behavior is one cache behavior.
type Behavior struct {
	PathPattern             string
	TargetOriginID          string // id of an origin or origin group
	ViewerProtocol          ViewerProtocol
	AllowedMethods          []string
	CachedMethods           []string
	CachePolicyID           string         // or
	Legacy                  *LegacyCaching // ForwardedValues and TTLs
	OriginRequestPolicyID   string
	ResponseHeadersPolicyID string
	Compress                bool
	TrustedKeyGroups        []string
	FunctionARNs            map[string]string // event type -> ARN
	RealtimeLogConfigARN    string
}

// ViewerProtocol is a behavior's viewer protocol policy.
type ViewerProtocol string

// The viewer protocol policies.
const (
	AllowAll        ViewerProtocol = "allow-all"
	HTTPSOnly       ViewerProtocol = "https-only"
	RedirectToHTTPS ViewerProtocol = "redirect-to-https"
)

// Selection says which of some named things (headers, cookies, query strings) take
// part: a behavior as CloudFront names it and a list.
type Selection struct {
	Behavior string // none, whitelist, allExcept, all, allViewer, allViewerAndWhitelistCloudFront
	Names    []string
}

// LegacyCaching is a behavior's ForwardedValues with its own TTLs.
type LegacyCaching struct {
	QueryString                bool
	QueryStringKeys            []string
	Headers                    []string // "*" = all
	Cookies                    Selection
	MinTTL, DefaultTTL, MaxTTL time.Duration
}

// CachePolicy says what is in the cache key and how long objects live.
type CachePolicy struct {
	ID, Name, Comment          string
	Managed                    bool
	MinTTL, DefaultTTL, MaxTTL time.Duration
	Gzip, Brotli               bool // EnableAcceptEncoding...
	Headers                    Selection
	Cookies                    Selection
	QueryStrings               Selection
}

// OriginRequestPolicy says what else is sent to the origin.
type OriginRequestPolicy struct {
	ID, Name, Comment string
	Managed           bool
	Headers           Selection
	Cookies           Selection
	QueryStrings      Selection
}

// ResponseHeadersPolicy says what is removed from and added to responses.
type ResponseHeadersPolicy struct {
	ID, Name, Comment string
	Managed           bool
	CORS              *CORS
	Security          SecurityHeaders
	Custom            []OverridableHeader
	Remove            []string // lower-case
	// ServerTimingSampling is 0-100 percent; negative = the section is absent or disabled.
	ServerTimingSampling float64
}

// OverridableHeader is a header value that either replaces the origin's or yields to it.
type OverridableHeader struct {
	Name, Value string // Name lower-case
	Override    bool
}

// SecurityHeaders are the security section, each nil when absent.
type SecurityHeaders struct {
	XSSProtection         *OverridableHeader
	FrameOptions          *OverridableHeader
	ReferrerPolicy        *OverridableHeader
	ContentSecurityPolicy *OverridableHeader
	ContentTypeOptions    *OverridableHeader
	StrictTransport       *OverridableHeader
}

// CORS is the cross-origin section.
type CORS struct {
	AllowCredentials bool
	AllowHeaders     []string
	AllowMethods     []string // "ALL" expanded
	AllowOrigins     []string
	ExposeHeaders    []string
	MaxAge           time.Duration // negative = absent
	OriginOverride   bool
}

// OriginAccessControl says how requests to an origin are signed.
type OriginAccessControl struct {
	ID, Name, Description string
	OriginType            string // s3
	SigningBehavior       string // always, never, no-override
	SigningProtocol       string // sigv4
}

// ErrorResponse is a custom error response.
type ErrorResponse struct {
	ErrorCode    int
	PagePath     string        // "" = no page
	ResponseCode int           // 0 = keep
	CachingMin   time.Duration // default 10 s
}

// GeoRestriction is a distribution's list of countries.
type GeoRestriction struct {
	Type      string // none, whitelist, blacklist
	Countries []string
}

// Logging is the standard (legacy) logging section.
type Logging struct {
	Enabled, IncludeCookies bool
	Bucket, Prefix          string
}

// Problem is one thing that is wrong in a configuration: where, what, and how to
// mend it. Field is a path in CloudFront's own words such as
// Origins.Items[0].DomainName.
type Problem struct {
	Field   string
	Message string
	Code    string // CloudFront's error code, e.g. InvalidArgument
}
