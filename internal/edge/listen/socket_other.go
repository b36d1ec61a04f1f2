//go:build !linux

package listen

import (
	"errors"
	"math"
)

func setReusePort(uintptr) error {
	return errors.New("sharing a port among processes is supported on Linux only")
}

func readBufferOf(uintptr) int { return 0 }

func fileLimit() (uint64, error) { return math.MaxUint64, nil }
