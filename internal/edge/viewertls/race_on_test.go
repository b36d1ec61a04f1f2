//go:build race

package viewertls

// raceEnabled tells that the race detector is on: handshakes take ten times as long,
// so that tests of many run fewer.
const raceEnabled = true
