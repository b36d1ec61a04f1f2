package scenario

import "testing"

func TestScenarios(t *testing.T) {
	Run(t, "../../test/scenarios", InProcess, HTTP1, HTTP2, HTTP3)
}
