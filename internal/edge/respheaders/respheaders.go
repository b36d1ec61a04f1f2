// Package respheaders answers: what do we add to, remove from and override in a
// response on its way to the viewer?
//
// It is pure: CloudFront's own fields (x-cache, via, x-amz-cf-...), response headers
// policies and our error pages are computed from values. It sends nothing.
package respheaders
