package cdn

import "time"

// The managed policies: CloudFront's own, with CloudFront's ids, which every account
// can use and none can change (CloudFront: Use managed cache policies; Use managed
// origin request policies; Use managed response headers policies). Each call makes new
// values. testdata/managed.txt shows them as text.

// ManagedCachePolicies returns CloudFront's managed cache policies. The four policies
// that only Amplify's own hosting may use are not among them: their settings are not
// published.
func ManagedCachePolicies() []*CachePolicy {
	return []*CachePolicy{
		{
			ID: "2e54312d-136d-493c-8eb9-b001f22f67d2", Name: "Managed-Amplify", Managed: true,
			MinTTL: 2 * time.Second, DefaultTTL: 2 * time.Second, MaxTTL: 600 * time.Second,
			Gzip: true, Brotli: true,
			Headers:      Selection{Behavior: "whitelist", Names: []string{"Authorization", "CloudFront-Viewer-Country", "Host"}},
			Cookies:      Selection{Behavior: "all"},
			QueryStrings: Selection{Behavior: "all"},
		},
		{
			ID: "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", Name: "Managed-CachingDisabled", Managed: true,
			MinTTL: 0, DefaultTTL: 0, MaxTTL: 0,
			Gzip: false, Brotli: false,
			Headers:      Selection{Behavior: "none"},
			Cookies:      Selection{Behavior: "none"},
			QueryStrings: Selection{Behavior: "none"},
		},
		{
			ID: "658327ea-f89d-4fab-a63d-7e88639e58f6", Name: "Managed-CachingOptimized", Managed: true,
			MinTTL: 1 * time.Second, DefaultTTL: 86400 * time.Second, MaxTTL: 31536000 * time.Second,
			Gzip: true, Brotli: true,
			Headers:      Selection{Behavior: "none"},
			Cookies:      Selection{Behavior: "none"},
			QueryStrings: Selection{Behavior: "none"},
		},
		{
			ID: "b2884449-e4de-46a7-ac36-70bc7f1ddd6d", Name: "Managed-CachingOptimizedForUncompressedObjects", Managed: true,
			MinTTL: 1 * time.Second, DefaultTTL: 86400 * time.Second, MaxTTL: 31536000 * time.Second,
			Gzip: false, Brotli: false,
			Headers:      Selection{Behavior: "none"},
			Cookies:      Selection{Behavior: "none"},
			QueryStrings: Selection{Behavior: "none"},
		},
		{
			ID: "08627262-05a9-4f76-9ded-b50ca2e3a84f", Name: "Managed-Elemental-MediaPackage", Managed: true,
			MinTTL: 0, DefaultTTL: 86400 * time.Second, MaxTTL: 31536000 * time.Second,
			Gzip: true, Brotli: false,
			Headers:      Selection{Behavior: "whitelist", Names: []string{"Origin"}},
			Cookies:      Selection{Behavior: "none"},
			QueryStrings: Selection{Behavior: "whitelist", Names: []string{"aws.manifestfilter", "start", "end", "m"}},
		},
		{
			ID: "83da9c7e-98b4-4e11-a168-04f0df8e2c65", Name: "Managed-UseOriginCacheControlHeaders", Managed: true,
			MinTTL: 0, DefaultTTL: 0, MaxTTL: 31536000 * time.Second,
			Gzip: true, Brotli: true,
			Headers:      Selection{Behavior: "whitelist", Names: []string{"Host", "Origin", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"}},
			Cookies:      Selection{Behavior: "all"},
			QueryStrings: Selection{Behavior: "none"},
		},
		{
			ID: "4cc15a8a-d715-48a4-82b8-cc0b614638fe", Name: "Managed-UseOriginCacheControlHeaders-QueryStrings", Managed: true,
			MinTTL: 0, DefaultTTL: 0, MaxTTL: 31536000 * time.Second,
			Gzip: true, Brotli: true,
			Headers:      Selection{Behavior: "whitelist", Names: []string{"Host", "Origin", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"}},
			Cookies:      Selection{Behavior: "all"},
			QueryStrings: Selection{Behavior: "all"},
		},
	}
}

// ManagedOriginRequestPolicies returns CloudFront's managed origin request policies.
func ManagedOriginRequestPolicies() []*OriginRequestPolicy {
	return []*OriginRequestPolicy{
		{
			ID: "216adef6-5c7f-47e4-b989-5492eafa07d3", Name: "Managed-AllViewer", Managed: true,
			Headers:      Selection{Behavior: "allViewer"},
			Cookies:      Selection{Behavior: "all"},
			QueryStrings: Selection{Behavior: "all"},
		},
		{
			ID: "33f36d7e-f396-46d9-90e0-52428a34d9dc", Name: "Managed-AllViewerAndCloudFrontHeaders-2022-06", Managed: true,
			Headers: Selection{Behavior: "allViewerAndWhitelistCloudFront", Names: []string{
				"CloudFront-Forwarded-Proto", "CloudFront-Is-Android-Viewer", "CloudFront-Is-Desktop-Viewer", "CloudFront-Is-IOS-Viewer",
				"CloudFront-Is-Mobile-Viewer", "CloudFront-Is-SmartTV-Viewer", "CloudFront-Is-Tablet-Viewer", "CloudFront-Viewer-Address",
				"CloudFront-Viewer-ASN", "CloudFront-Viewer-City", "CloudFront-Viewer-Country", "CloudFront-Viewer-Country-Name",
				"CloudFront-Viewer-Country-Region", "CloudFront-Viewer-Country-Region-Name", "CloudFront-Viewer-Http-Version", "CloudFront-Viewer-Latitude",
				"CloudFront-Viewer-Longitude", "CloudFront-Viewer-Metro-Code", "CloudFront-Viewer-Postal-Code", "CloudFront-Viewer-Time-Zone",
				"CloudFront-Viewer-TLS",
			}},
			Cookies:      Selection{Behavior: "all"},
			QueryStrings: Selection{Behavior: "all"},
		},
		{
			ID: "b689b0a8-53d0-40ab-baf2-68738e2966ac", Name: "Managed-AllViewerExceptHostHeader", Managed: true,
			Headers:      Selection{Behavior: "allExcept", Names: []string{"Host"}},
			Cookies:      Selection{Behavior: "all"},
			QueryStrings: Selection{Behavior: "all"},
		},
		{
			ID: "59781a5b-3903-41f3-afcb-af62929ccde1", Name: "Managed-CORS-CustomOrigin", Managed: true,
			Headers:      Selection{Behavior: "whitelist", Names: []string{"Origin"}},
			Cookies:      Selection{Behavior: "none"},
			QueryStrings: Selection{Behavior: "none"},
		},
		{
			ID: "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf", Name: "Managed-CORS-S3Origin", Managed: true,
			Headers:      Selection{Behavior: "whitelist", Names: []string{"Origin", "Access-Control-Request-Headers", "Access-Control-Request-Method"}},
			Cookies:      Selection{Behavior: "none"},
			QueryStrings: Selection{Behavior: "none"},
		},
		{
			ID: "775133bc-15f2-49f9-abea-afb2e0bf67d2", Name: "Managed-Elemental-MediaTailor-PersonalizedManifests", Managed: true,
			Headers:      Selection{Behavior: "whitelist", Names: []string{"Origin", "Access-Control-Request-Headers", "Access-Control-Request-Method", "User-Agent", "X-Forwarded-For"}},
			Cookies:      Selection{Behavior: "none"},
			QueryStrings: Selection{Behavior: "all"},
		},
		{
			ID: "bf0718e1-ba1e-49d1-88b1-f726733018ae", Name: "Managed-HostHeaderOnly", Managed: true,
			Headers:      Selection{Behavior: "whitelist", Names: []string{"Host"}},
			Cookies:      Selection{Behavior: "none"},
			QueryStrings: Selection{Behavior: "none"},
		},
		{
			ID: "acba4595-bd28-49b8-b9fe-13317c0390fa", Name: "Managed-UserAgentRefererHeaders", Managed: true,
			Headers:      Selection{Behavior: "whitelist", Names: []string{"User-Agent", "Referer"}},
			Cookies:      Selection{Behavior: "none"},
			QueryStrings: Selection{Behavior: "none"},
		},
	}
}

// ManagedResponseHeadersPolicies returns CloudFront's managed response headers policies.
func ManagedResponseHeadersPolicies() []*ResponseHeadersPolicy {
	simple := func() *CORS {
		return &CORS{AllowOrigins: []string{"*"}, AllowHeaders: []string{"*"}, AllowMethods: []string{"GET"}, MaxAge: -1}
	}
	preflight := func() *CORS {
		return &CORS{AllowOrigins: []string{"*"}, AllowHeaders: []string{"*"},
			AllowMethods:  []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"},
			ExposeHeaders: []string{"*"}, MaxAge: -1}
	}
	security := func() SecurityHeaders {
		return SecurityHeaders{
			XSSProtection:      &OverridableHeader{Name: "x-xss-protection", Value: XSSProtection(true, true, "")},
			FrameOptions:       &OverridableHeader{Name: "x-frame-options", Value: "SAMEORIGIN"},
			ReferrerPolicy:     &OverridableHeader{Name: "referrer-policy", Value: "strict-origin-when-cross-origin"},
			ContentTypeOptions: &OverridableHeader{Name: "x-content-type-options", Value: "nosniff", Override: true},
			StrictTransport:    &OverridableHeader{Name: "strict-transport-security", Value: StrictTransportSecurity(31536000, false, false)},
		}
	}
	return []*ResponseHeadersPolicy{
		{
			ID: "60669652-455b-4ae9-85a4-c4c02393f86c", Name: "Managed-SimpleCORS", Managed: true, ServerTimingSampling: -1,
			CORS: simple(),
		},
		{
			ID: "5cc3b908-e619-4b99-88e5-2cf7f45965bd", Name: "Managed-CORS-With-Preflight", Managed: true, ServerTimingSampling: -1,
			CORS: preflight(),
		},
		{
			ID: "e61eb60c-9c35-4d20-a928-2b84e02af89c", Name: "Managed-CORS-and-SecurityHeadersPolicy", Managed: true, ServerTimingSampling: -1,
			CORS:     simple(),
			Security: security(),
		},
		{
			ID: "eaab4381-ed33-4a86-88ca-d9558dc6cd63", Name: "Managed-CORS-with-preflight-and-SecurityHeadersPolicy", Managed: true, ServerTimingSampling: -1,
			CORS:     preflight(),
			Security: security(),
		},
		{
			ID: "67f7725c-6f97-4210-82d7-5512b31e9d03", Name: "Managed-SecurityHeadersPolicy", Managed: true, ServerTimingSampling: -1,
			Security: security(),
		},
	}
}
