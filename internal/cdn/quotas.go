package cdn

import "time"

// Quotas are the numbers that CloudFront lets its customers raise. The zero value of
// a field stands for DefaultQuotas' one.
type Quotas struct {
	Aliases, Origins, OriginGroups, Behaviors int // per distribution
	OriginHeaders                             int // custom headers per origin
	PolicyItems                               int // headers, cookies or query strings per policy
	CustomHeaders, RemoveHeaders              int // per response headers policy
	// OriginReadTimeout and OriginKeepaliveTimeout are the longest ones.
	OriginReadTimeout, OriginKeepaliveTimeout time.Duration
}

// DefaultQuotas returns CloudFront's defaults (CloudFront: Quotas). The origin
// timeouts are the highest that CloudFront grants on request, so that what it took
// is taken here, too.
func DefaultQuotas() Quotas {
	return Quotas{
		Aliases: 100, Origins: 100, OriginGroups: 10, Behaviors: 75,
		OriginHeaders: 30, PolicyItems: 10, CustomHeaders: 10, RemoveHeaders: 10,
		OriginReadTimeout: 300 * time.Second, OriginKeepaliveTimeout: 300 * time.Second,
	}
}

// withDefaults fills the fields that are zero.
func (q Quotas) withDefaults() Quotas {
	d := DefaultQuotas()
	for _, f := range [...]struct{ have, use *int }{
		{&q.Aliases, &d.Aliases}, {&q.Origins, &d.Origins}, {&q.OriginGroups, &d.OriginGroups},
		{&q.Behaviors, &d.Behaviors}, {&q.OriginHeaders, &d.OriginHeaders}, {&q.PolicyItems, &d.PolicyItems},
		{&q.CustomHeaders, &d.CustomHeaders}, {&q.RemoveHeaders, &d.RemoveHeaders},
	} {
		if *f.have == 0 {
			*f.have = *f.use
		}
	}
	if q.OriginReadTimeout == 0 {
		q.OriginReadTimeout = d.OriginReadTimeout
	}
	if q.OriginKeepaliveTimeout == 0 {
		q.OriginKeepaliveTimeout = d.OriginKeepaliveTimeout
	}
	return q
}

// Rules are what the constructors need to know besides the values.
type Rules struct {
	Quotas Quotas
	// SecurityPolicy returns an error, with the fix, when no security policy has the
	// name. nil = names are not checked here.
	SecurityPolicy func(name string) error
}

// The defaults of what a client may leave out (CloudFront API Reference).
const (
	DefaultConnectionAttempts = 3
	DefaultConnectionTimeout  = 10 * time.Second
	DefaultReadTimeout        = 30 * time.Second
	DefaultKeepaliveTimeout   = 5 * time.Second
	DefaultErrorCachingMinTTL = 10 * time.Second
	DefaultTTL                = 24 * time.Hour
	DefaultMaxTTL             = 365 * 24 * time.Hour
	DefaultHTTPVersion        = "http2"
	DefaultPriceClass         = "PriceClass_All"
	DefaultSecurityPolicy     = "TLSv1" // also the only one of the default certificate
)

// maxTTL is the longest time that CloudFront takes: 100 years
// (CloudFront: Manage how long content stays in the cache).
const maxTTL = 100 * 365 * 24 * time.Hour

// Seconds converts a number of seconds; what is too large or small for a Duration
// becomes the largest or smallest, which no rule here allows.
func Seconds(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Second)
	return time.Duration(min(max(n, -most), most)) * time.Second
}
