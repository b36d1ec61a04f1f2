package cdn

import "strings"

// checkViewer checks certificate source, support method and security policy, and
// makes the default certificate's settings what CloudFront makes them
// (CloudFront: Values that you specify, Security policy).
func (ps *problems) checkViewer(d *Distribution, known func(string) error) {
	const field = "ViewerCertificate"
	v := &d.Viewer
	sources := 0
	for _, given := range [...]bool{v.Default, v.ACMARN != "", v.IAMID != ""} {
		if given {
			sources++
		}
	}
	if sources != 1 {
		ps.add(CodeInvalidViewerCertificate, field, "has %d sources of a certificate: give exactly one of CloudFrontDefaultCertificate (true), ACMCertificateArn and IAMCertificateId", sources)
		return
	}
	if v.Default {
		if len(d.Aliases) > 0 {
			ps.add(CodeInvalidViewerCertificate, "Aliases", "needs a certificate that covers the alternate domain names: give ViewerCertificate an ACMCertificateArn or IAMCertificateId, or remove the aliases")
		}
		// Whatever was sent, silently (CloudFront API Reference: ViewerCertificate).
		v.SupportMethod, v.SecurityPolicy = "vip", DefaultSecurityPolicy
		return
	}
	ps.checkCertificateID(v)
	ps.checkPolicyName(v, known)
}

func (ps *problems) checkCertificateID(v *ViewerCertificate) {
	if v.ACMARN != "" {
		const fix = "write it as arn:aws:acm:us-east-1:ACCOUNT:certificate/ID"
		part := strings.Split(v.ACMARN, ":")
		switch {
		case len(part) != 6 || part[0] != "arn" || !strings.HasPrefix(part[1], "aws") || part[2] != "acm" ||
			len(part[4]) != 12 || strings.Trim(part[4], "0123456789") != "" ||
			!isID(strings.TrimPrefix(part[5], "certificate/"), "-") || !strings.HasPrefix(part[5], "certificate/"):
			ps.add(CodeInvalidViewerCertificate, "ViewerCertificate.ACMCertificateArn", "%q is not the ARN of a certificate: %s", v.ACMARN, fix)
		case part[3] != "us-east-1":
			ps.add(CodeInvalidViewerCertificate, "ViewerCertificate.ACMCertificateArn", "%q is in the region %q: CloudFront takes certificates from us-east-1 only", v.ACMARN, part[3])
		}
	}
	if v.IAMID != "" && (len(v.IAMID) > 32 || !isID(v.IAMID, "")) {
		ps.add(CodeInvalidViewerCertificate, "ViewerCertificate.IAMCertificateId", "%q is not the id of a certificate: use at most 32 letters and digits", v.IAMID)
	}
}

// checkPolicyName checks the pair of support method and policy.
//
// Deviation: CloudFront lets the API combine vip with TLSv1 and SSLv3 only, and with
// newer policies by a support case; here vip goes with all of them.
func (ps *problems) checkPolicyName(v *ViewerCertificate, known func(string) error) {
	const field = "ViewerCertificate.MinimumProtocolVersion"
	ps.oneOf(CodeInvalidArgument, "ViewerCertificate.SSLSupportMethod", v.SupportMethod, "sni-only", "vip", "static-ip")
	switch {
	case v.SecurityPolicy == "":
		ps.add(CodeInvalidMinimumProtocolVersion, field, "is missing: name a security policy such as TLSv1.2_2021")
	case v.SecurityPolicy == "SSLv3" && v.SupportMethod != "vip":
		ps.add(CodeInvalidProtocolSettings, field, "SSLv3 cannot go with the SSLSupportMethod %s: use TLSv1.2_2021 or another newer policy", v.SupportMethod)
	case known != nil:
		if err := known(v.SecurityPolicy); err != nil {
			ps.add(CodeInvalidMinimumProtocolVersion, field, "%v", err)
		}
	}
}
