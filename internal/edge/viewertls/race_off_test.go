//go:build !race

package viewertls

const raceEnabled = false
