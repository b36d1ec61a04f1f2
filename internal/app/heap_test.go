package app

import "testing"

// TestHeapFloor: what the operator says about the collector counts alone.
func TestHeapFloor(t *testing.T) {
	check := func(env map[string]string, want int) {
		t.Helper()
		if got := len(heapFloor(env)); got != want {
			t.Errorf("%v: a floor of %d bytes, want %d", env, got, want)
		}
	}
	check(nil, heapFloorBytes)
	check(map[string]string{"GOGC": ""}, heapFloorBytes)
	check(map[string]string{"GOGC": "50"}, 0)
	check(map[string]string{"GOMEMLIMIT": "1GiB"}, 0)
}
