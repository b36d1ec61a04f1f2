package configwatch

import (
	"context"
	"os"
)

// Signals is a Source that hears of changes by signals, SIGHUP by convention. The
// channel is signal.Notify's.
type Signals <-chan os.Signal

// Run implements Source.
func (s Signals) Run(ctx context.Context, changed func(why string)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case sig, ok := <-s:
			if !ok {
				return nil
			}
			changed("signal " + sig.String())
		}
	}
}
