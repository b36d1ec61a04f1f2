package configfile

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// broken is one file with a fault: the minimal or the rich distribution with some text
// replaced, or a text of its own.
type broken struct {
	name string
	base func() string
	edit []string // old, new, old, new ...
}

func own(text string) func() string { return func() string { return text } }

func rich() string {
	data, err := os.ReadFile("testdata/rich.json")
	if err != nil {
		panic(err)
	}
	return string(data)
}

// custom is minimal with aliases and a certificate.
func custom() string {
	return strings.Replace(minimal(), `"Enabled": true,`, `"Enabled": true, "Aliases": {"Quantity": 1, "Items": ["a.example.org"]},
  "ViewerCertificate": {"ACMCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/5b8b7ff7", "SSLSupportMethod": "sni-only", "MinimumProtocolVersion": "TLSv1.2_2021"},`, 1)
}

func policy(kind, config string) func() string {
	return own(`{"` + kind + `": {"Id": "a2f5e6d4-0b1c", "` + kind + `Config": ` + config + `}}`)
}

const behaviorEnd = `"CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"`

// brokenFiles is the table; its problems are in testdata/broken.txt.
func brokenFiles() []broken {
	return []broken{
		// JSON
		{"empty", own(" \n"), nil},
		{"not json", own("{\n  \"a\": tru\n}"), nil},
		{"cut off", own(`{"DistributionConfig": {`), nil},
		{"trailing garbage", minimal, []string{"\n}", "\n}\nmore"}},
		{"two documents", own("{}\n{}"), nil},
		{"twice", minimal, []string{`"Enabled": true`, `"Enabled": true, "Enabled": false`}},
		{"not utf-8", own("{\"Comment\": \"\xff\"}"), nil},
		{"too deep", own(strings.Repeat("[", 40) + strings.Repeat("]", 40)), nil},
		{"a list", own("[]"), nil},
		{"a text", own(`"x"`), nil},

		// shapes
		{"other", own(`{"Buckets": []}`), nil},
		{"list output", own(`{"DistributionList": {"Items": []}}`), nil},
		{"policy without id", own(`{"CachePolicyConfig": {}}`), nil},
		{"wrapper with extras", own(`{"ETag": "E1", "Etag": "E2", "DistributionConfig": ` + minimal() + `}`), nil},

		// keys and types
		{"typo", minimal, []string{`"DomainName"`, `"DomainNam"`}},
		{"case", minimal, []string{`"Comment"`, `"comment"`}},
		{"unknown", minimal, []string{`"Comment"`, `"Zzz": 1, "Comment"`}},
		{"all required missing", own(`{"CallerReference": null}`), nil},
		{"types", minimal, []string{`"Comment": ""`, `"Comment": 1`, `"Enabled": true`, `"Enabled": "true"`, `"HTTPPort": 80`, `"HTTPPort": "80"`,
			behaviorEnd, behaviorEnd + `, "Compress": "yes", "AllowedMethods": ["GET", "HEAD"]`}},
		{"fraction", minimal, []string{`"HTTPPort": 80`, `"HTTPPort": 80.5`}},
		{"beyond 64 bits", minimal, []string{`"HTTPPort": 80`, `"HTTPPort": 99999999999999999999`}},
		{"status code as number", rich, []string{`"ResponseCode": "404"`, `"ResponseCode": 404`}},

		// lists
		{"quantity", minimal, []string{`"Origins": {"Quantity": 1`, `"Origins": {"Quantity": 2`}},
		{"quantity missing", minimal, []string{`"Origins": {"Quantity": 1, `, `"Origins": {`}},
		{"items missing", minimal, []string{`"Comment": ""`, `"Comment": "", "Aliases": {"Quantity": 2}`}},
		{"null item", custom, []string{`"a.example.org"`, `null`}},

		// aliases and certificate
		{"aliases", custom, []string{`"Quantity": 1, "Items": ["a.example.org"]`, `"Quantity": 9, "Items": ["a.example.org", "a.example.org", "A.example.org", "*x.example.org", "a.*.org", "https://a.org/", "a..b", "192.0.2.1", "*."]`}},
		{"alias without certificate", minimal, []string{`"Comment": ""`, `"Comment": "", "Aliases": {"Quantity": 1, "Items": ["a.example.org"]}`}},
		{"two certificates", custom, []string{`"SSLSupportMethod"`, `"IAMCertificateId": "ASCAEXAMPLE", "SSLSupportMethod"`}},
		{"no certificate", custom, []string{`"ACMCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/5b8b7ff7", `, ``}},
		{"foreign region", custom, []string{`us-east-1`, `eu-west-1`}},
		{"not an arn", custom, []string{`arn:aws:acm:us-east-1:123456789012:certificate/5b8b7ff7`, `my-certificate`}},
		{"policy unknown", custom, []string{`TLSv1.2_2021`, `TLSv1.2_2020`}},
		{"policy missing", custom, []string{`, "MinimumProtocolVersion": "TLSv1.2_2021"`, ``}},
		{"support method missing", custom, []string{`"SSLSupportMethod": "sni-only", `, ``}},
		{"sslv3", custom, []string{`TLSv1.2_2021`, `SSLv3`}},

		// origins
		{"origins", minimal, []string{`"DomainName": "origin.example.org"`, `"DomainName": "https://origin.example.org", "OriginPath": "path/", "ConnectionAttempts": 4, "ConnectionTimeout": 11, "ResponseCompletionTimeout": 5`,
			`"HTTPPort": 80, "HTTPSPort": 443`, `"HTTPPort": 81, "HTTPSPort": 70000, "OriginReadTimeout": 0, "OriginKeepaliveTimeout": 301, "OriginSslProtocols": {"Quantity": 2, "Items": ["TLSv1.3", "SSLv2"]}`}},
		{"origin kinds", minimal, []string{`"CustomOriginConfig"`, `"S3OriginConfig": {"OriginAccessIdentity": ""}, "CustomOriginConfig"`}},
		{"origin of no kind", minimal, []string{`"DomainName": "origin.example.org",`, `"DomainName": "origin.example.org", "CustomHeaders": {"Quantity": 0}`,
			`"CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}`, ``}},
		{"origin ids", rich, []string{`"Id": "legacy"`, `"Id": "api"`}},
		{"custom headers", rich, []string{`"HeaderName": "X-Env"`, `"HeaderName": "x-origin-verify"`, `"X-Origin-Verify"`, `"Via"`, `not a real secret`, `secret\n`}},
		{"both access kinds", rich, []string{`"OriginAccessIdentity": ""`, `"OriginAccessIdentity": "origin-access-identity/cloudfront/E1"`}},
		{"origin groups", rich, []string{"500,\n", "500, 500, 418,\n", `"OriginId": "legacy"`, `"OriginId": "site-bucket"`}},

		// behaviors
		{"no target", minimal, []string{`"TargetOriginId": "o"`, `"TargetOriginId": "other"`}},
		{"methods", minimal, []string{behaviorEnd, behaviorEnd + `, "AllowedMethods": {"Quantity": 3, "Items": ["GET", "HEAD", "POST"]}`}},
		{"cached methods", minimal, []string{behaviorEnd, behaviorEnd + `, "AllowedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"], "CachedMethods": {"Quantity": 3, "Items": ["GET", "HEAD", "OPTIONS"]}}`}},
		{"viewer protocol", minimal, []string{`allow-all`, `http-only`}},
		{"no cache policy", minimal, []string{behaviorEnd, `"CachePolicyId": ""`}},
		{"both ways of caching", minimal, []string{behaviorEnd, behaviorEnd + `, "MinTTL": 0, "ForwardedValues": {"QueryString": false, "Cookies": {"Forward": "none"}}`}},
		{"ttl beside cache policy", minimal, []string{behaviorEnd, behaviorEnd + `, "MinTTL": 0, "MaxTTL": 60`}},
		{"legacy", minimal, []string{behaviorEnd, `"DefaultTTL": 60, "MaxTTL": 30, "ForwardedValues": {"QueryString": false, "QueryStringCacheKeys": {"Quantity": 1, "Items": ["a"]}, "Cookies": {"Forward": "whitelist"}, "Headers": {"Quantity": 2, "Items": ["*", "Host"]}}`}},
		{"ttl too long", minimal, []string{behaviorEnd, `"MinTTL": -1, "DefaultTTL": 60, "MaxTTL": 9223372036854775807, "ForwardedValues": {"QueryString": false, "Cookies": {"Forward": "none"}}`}},
		{"path patterns", rich, []string{`"PathPattern": "api/*"`, `"PathPattern": "/old/*.php"`}},
		{"path pattern", rich, []string{`"PathPattern": "api/*"`, `"PathPattern": "a b"`}},

		// the rest
		{"root object", minimal, []string{`"Comment": ""`, `"Comment": "", "DefaultRootObject": "/index.html"`}},
		{"enums", minimal, []string{`"Comment": ""`, `"Comment": "", "HttpVersion": "http4", "PriceClass": "PriceClass_300"`}},
		{"error responses", rich, []string{`"ErrorCode": 403`, `"ErrorCode": 418`, `"/404.html"`, `"404.html"`, `"ResponseCode": ""`, `"ResponseCode": "503"`, `"ErrorCachingMinTTL": 0`, `"ErrorCachingMinTTL": -5`}},
		{"geo", rich, []string{`"RestrictionType": "none",`, `"RestrictionType": "none", "Items": ["JP"],`, "\"Quantity\": 0\n            }\n        },\n        \"WebACLId\"", "\"Quantity\": 1\n            }\n        },\n        \"WebACLId\""}},
		{"logging", rich, []string{`"Prefix": "cdn/"`, `"Prefix": "/cdn/"`, `"example-org-logs.s3.amazonaws.com"`, `"logs"`}},
		{"tags", own(`{"DistributionConfig": ` + minimal() + `, "Tags": {"Items": [{"Key": "a"}, {"Key": "a"}]}}`), nil},
		{"tag keys", own(`{"DistributionConfig": ` + minimal() + `, "Tags": {"Items": [{"Key": "aws:x", "Value": "1"}, {"Key": "", "Value": "` + strings.Repeat("x", 257) + `"}]}}`), nil},
		{"dangling", rich, nil},

		// not supported, and not safe to ignore
		{"trusted key groups", minimal, []string{behaviorEnd, behaviorEnd + `, "TrustedKeyGroups": {"Enabled": true, "Quantity": 1, "Items": ["k"]}, "TrustedSigners": {"Enabled": true, "Quantity": 1, "Items": ["self"]}`}},
		{"functions", minimal, []string{behaviorEnd, behaviorEnd + `, "FunctionAssociations": {"Quantity": 1, "Items": [{"FunctionARN": "arn:aws:cloudfront::123456789012:function/auth", "EventType": "viewer-request"}]}, "LambdaFunctionAssociations": {"Quantity": 1, "Items": [{"LambdaFunctionARN": "arn:aws:lambda:us-east-1:123456789012:function:x:1", "EventType": "origin-request", "IncludeBody": true}]}`}},
		{"field-level encryption", minimal, []string{behaviorEnd, behaviorEnd + `, "FieldLevelEncryptionId": "C1"`}},
		{"viewer mtls", minimal, []string{`"Comment": ""`, `"Comment": "", "ViewerMtlsConfig": {"Mode": "required", "TrustStoreConfig": {"TrustStoreId": "t"}}, "ConnectionFunctionAssociation": {"Id": "f"}`}},
		{"tenants", minimal, []string{`"Comment": ""`, `"Comment": "", "ConnectionMode": "tenant-only", "TenantConfig": {"ParameterDefinitions": []}`}},
		{"geo without database", minimal, []string{`"Comment": ""`, `"Comment": "", "Restrictions": {"GeoRestriction": {"RestrictionType": "whitelist", "Quantity": 1, "Items": ["JP"]}}`}},
		{"vpc origin", minimal, []string{`"CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}`, `"VpcOriginConfig": {"VpcOriginId": "vo_1"}`}},
		{"origin mtls", minimal, []string{`"https-only"`, `"https-only", "OriginMtlsConfig": {"ClientCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/x"}`}},
		{"origin types", own(`{"OriginAccessControl": {"Id": "E1", "OriginAccessControlConfig": {"Name": "n", "SigningProtocol": "sigv4", "SigningBehavior": "always", "OriginAccessControlOriginType": "lambda"}}}`), nil},

		// policies
		{"cache policy", policy("CachePolicy", `{"Name": "a b", "MinTTL": 5, "MaxTTL": 1, "DefaultTTL": 6, "ParametersInCacheKeyAndForwardedToOrigin": {"EnableAcceptEncodingGzip": true,
  "HeadersConfig": {"HeaderBehavior": "allViewer"}, "CookiesConfig": {"CookieBehavior": "whitelist"}, "QueryStringsConfig": {"QueryStringBehavior": "none", "QueryStrings": {"Quantity": 1, "Items": ["a"]}}}}`), nil},
		{"cache policy headers", policy("CachePolicy", `{"Name": "a", "MinTTL": 0, "ParametersInCacheKeyAndForwardedToOrigin": {"EnableAcceptEncodingGzip": true,
  "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": {"Quantity": 3, "Items": ["CloudFront-Viewer-TLS", "A", "a"]}}, "CookiesConfig": {"CookieBehavior": "none"}, "QueryStringsConfig": {}}}`), nil},
		{"origin request policy", policy("OriginRequestPolicy", `{"Name": "a", "HeadersConfig": {"HeaderBehavior": "allViewerAndWhitelistCloudFront", "Headers": {"Quantity": 1, "Items": ["Accept"]}}, "CookiesConfig": {"CookieBehavior": "some"}}`), nil},
		{"response headers policy", policy("ResponseHeadersPolicy", `{"Name": "a", "CorsConfig": {"AccessControlAllowOrigins": {"Quantity": 1, "Items": ["ftp://x.example"]}, "AccessControlAllowHeaders": {"Quantity": 0}, "AccessControlAllowMethods": {"Quantity": 1, "Items": ["TRACE"]}, "AccessControlAllowCredentials": false, "OriginOverride": true},
  "SecurityHeadersConfig": {"FrameOptions": {"FrameOption": "ALLOW"}, "XSSProtection": {"Override": true, "Protection": false, "ModeBlock": true}, "StrictTransportSecurity": {"Override": true, "AccessControlMaxAgeSec": -1}},
  "ServerTimingHeadersConfig": {"Enabled": true, "SamplingRate": 101},
  "CustomHeadersConfig": {"Quantity": 1, "Items": [{"Header": "Content-Length", "Value": " 1", "Override": true}]},
  "RemoveHeadersConfig": {"Quantity": 2, "Items": [{"Header": "Via"}, {"Header": "x-amz-cf-pop"}]}}`), nil},
		{"origin access control", own(`{"OriginAccessControl": {"Id": "E1", "OriginAccessControlConfig": {"Name": "n", "SigningProtocol": "sigv4a", "SigningBehavior": "sometimes"}}}`), nil},
	}
}

// TestBrokenFiles compares the full text of every problem with testdata/broken.txt.
func TestBrokenFiles(t *testing.T) {
	var out strings.Builder
	for _, b := range brokenFiles() {
		text := b.base()
		for i := 0; i < len(b.edit); i += 2 {
			if !strings.Contains(text, b.edit[i]) {
				t.Fatalf("%s: there is no %q to replace", b.name, b.edit[i])
			}
			text = strings.Replace(text, b.edit[i], b.edit[i+1], 1)
		}
		_, err := Parse([]Document{{Name: "my.json", Data: []byte(text)}}, testOptions())
		if err == nil {
			t.Errorf("%s: there is no problem", b.name)
			continue
		}
		fmt.Fprintf(&out, "# %s\n%v\n\n", b.name, err)
	}
	golden(t, "broken.txt", out.String())
}

// TestAcrossFiles: what only two files together have wrong.
func TestAcrossFiles(t *testing.T) {
	f := func(want string, texts ...string) {
		t.Helper()
		var docs []Document
		for i, text := range texts {
			docs = append(docs, Document{Name: fmt.Sprintf("%c.json", 'a'+i), Data: []byte(text)})
		}
		_, err := Parse(docs, testOptions())
		if got := fmt.Sprint(err); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	second := func(text string) string { return strings.Replace(text, "ref-1", "ref-2", 1) }
	oac, err := os.ReadFile("testdata/origin-access-control.json")
	if err != nil {
		t.Fatal(err)
	}
	f("<nil>", custom(), second(minimal()))
	f(`b.json: Aliases.Items[0]: a.example.org is a name of the distribution EX06156V2KERQN already (a.json): remove it from one of the two [CNAMEAlreadyExists] (line 4, column 57)`,
		custom(), second(custom()))
	f(`b.json: CallerReference: EX06156V2KERQN is the id of another distribution, too (a.json): remove one of the two [DistributionAlreadyExists] (line 2, column 22)
b.json: CallerReference: dwclx44hsvk77t.cloudfront.net is a name of the distribution EX06156V2KERQN already (a.json): remove it from one of the two [CNAMEAlreadyExists] (line 2, column 22)`,
		minimal(), minimal())
	f(`b.json: OriginAccessControl.Id: E327GJI25M56DG is in a.json already: remove one of the two [InvalidArgument] (line 4, column 15)`,
		string(oac), string(oac), minimal())
	f(`b.json: Origins.Items[0].OriginAccessControlId: the origin access control E327GJI25M56DG is for S3 origins and this is a custom one: use S3OriginConfig, or remove it [InvalidOriginAccessControl] (line 6, column 42)`,
		string(oac), strings.Replace(minimal(), `"DomainName"`, `"OriginAccessControlId": "E327GJI25M56DG", "DomainName"`, 1))
	// A reference to something in a broken file is not reported as dangling.
	f(`b.json: OriginAccessControl.Id: is missing: add it [InvalidArgument] (line 3, column 28)
b.json: OriginAccessControl.ID: is not known: did you mean Id? [InvalidArgument] (line 4, column 9)`,
		strings.Replace(minimal(), `"DomainName"`, `"OriginAccessControlId": "E327GJI25M56DG", "DomainName"`, 1),
		strings.Replace(string(oac), `"Id"`, `"ID"`, 1))
	f(`there is no distribution in the files: give what `+"`aws cloudfront get-distribution-config`"+` prints [InvalidArgument]`, string(oac))
}

func FuzzParse(f *testing.F) {
	for _, b := range brokenFiles() {
		text := b.base()
		for i := 0; i < len(b.edit); i += 2 {
			text = strings.Replace(text, b.edit[i], b.edit[i+1], 1)
		}
		f.Add([]byte(text))
	}
	for _, name := range richFiles() {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs := []Document{{Name: "a.json", Data: data}, {Name: "b.json", Data: []byte(minimal())}}
		r, err := Parse(docs, testOptions())
		if (r == nil) == (err == nil) {
			t.Fatalf("result %v with error %v", r, err)
		}
		if err == nil {
			if len(r.State.Distributions) == 0 || len(r.State.Problems()) > 0 {
				t.Fatalf("%d distributions, problems %v", len(r.State.Distributions), r.State.Problems())
			}
			return
		}
		lines := len(data)/8 + 500
		if n := strings.Count(err.Error(), "\n"); n > 3*maxProblems+lines {
			t.Fatalf("%d lines of problems", n)
		}
		for _, p := range err.(*Problems).List {
			if p.Message == "" || p.Code == "" {
				t.Fatalf("a problem without words: %+v", p)
			}
		}
	})
}
