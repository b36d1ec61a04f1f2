package scenario

import "testing"

func TestScenarios(t *testing.T) {
	Run(t, "../../test/scenarios", InProcess)
}
