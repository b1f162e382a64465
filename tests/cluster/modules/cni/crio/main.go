// Crio calls CNI as CRI-O does, which is by ocicni, CRI-O's own library: `crio
// COMMAND` with a pod as JSON on standard input. It prints the result, or fails
// with the error's text.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/cri-o/ocicni/pkg/ocicni"
)

type request struct {
	ConfDir  string `json:"confDir"`
	BinDir   string `json:"binDir"`
	CacheDir string `json:"cacheDir"`
	Pod      pod    `json:"pod"`
	// For gc: the pods that are still there.
	Valid []pod `json:"valid"`
}

type pod struct {
	Name        string            `json:"name"`
	ID          string            `json:"id"`
	Netns       string            `json:"netns"`
	Annotations map[string]string `json:"annotations"`
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command string) error {
	var r request
	if err := json.NewDecoder(os.Stdin).Decode(&r); err != nil {
		return err
	}
	// It asks every plugin for its VERSION, and ignores networks whose plugins do not fit.
	cni, err := ocicni.InitCNINoInotify("", r.ConfDir, r.CacheDir, r.BinDir)
	if err != nil {
		return err
	}
	network := cni.GetDefaultNetworkName()
	ctx := context.Background()
	switch command {
	case "network":
		return printJSON(network)
	case "status":
		return cni.StatusWithContext(ctx)
	case "add":
		if _, err := cni.SetUpPodWithContext(ctx, podNetwork(r.Pod, network)); err != nil {
			return err
		}
		fallthrough
	case "check":
		// At once after ADD, and at CRI-O's start. A pod's addresses are those of this result.
		results, err := cni.GetPodNetworkStatusWithContext(ctx, podNetwork(r.Pod, network))
		if err != nil {
			return err
		}
		return printJSON(results)
	case "del":
		return cni.TearDownPodWithContext(ctx, podNetwork(r.Pod, network))
	case "gc":
		valid := make([]*ocicni.PodNetwork, 0, len(r.Valid))
		for _, one := range r.Valid {
			network := podNetwork(one, network)
			valid = append(valid, &network)
		}
		return cni.GC(ctx, valid)
	}
	return fmt.Errorf("unknown command %q", command)
}

func podNetwork(p pod, network string) ocicni.PodNetwork {
	return ocicni.PodNetwork{
		Namespace: "default",
		Name:      p.Name,
		ID:        p.ID,
		UID:       "uid-" + p.Name,
		NetNS:     p.Netns,
		RuntimeConfig: map[string]ocicni.RuntimeConfig{
			network: {PodAnnotations: &p.Annotations},
		},
	}
}

func printJSON(value any) error {
	return json.NewEncoder(os.Stdout).Encode(value)
}
