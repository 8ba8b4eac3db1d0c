package serviceconfig

// balancers are those that grpc-go registers.
var balancers = []string{
	"pick_first", "round_robin", "weighted_round_robin", "least_request_experimental", "ring_hash_experimental",
	"random_subsetting_experimental", "outlier_detection_experimental", "weighted_target_experimental", "autosharding_experimental",
	"rls_experimental", "grpclb", "priority_experimental", "cds_experimental", "xds_cluster_impl_experimental",
	"xds_cluster_manager_experimental", "xds_wrr_locality_experimental",
}

func balancerLists() []sample {
	return append([]sample{
		{js: `{"loadBalancingConfig": {}}`, wrong: "loadBalancingConfig: it is to be an array"},
		{js: `{"loadBalancingConfig": "round_robin"}`, wrong: "loadBalancingConfig: "},
		{js: `{"loadBalancingConfig": []}`, wrong: "loadBalancingConfig: none of its balancers is registered"},
		{js: `{"loadBalancingConfig": ["round_robin"]}`, wrong: "loadBalancingConfig[0]: it is to be an object"},
		{js: `{"loadBalancingConfig": [{"round_robin": {}}, 3]}`, wrong: "loadBalancingConfig[1]: it is to be an object"},
		{js: `{"loadBalancingConfig": [null]}`, wrong: "loadBalancingConfig[0]: it has 0 names"},
		{js: `{"loadBalancingConfig": [{}]}`, wrong: "loadBalancingConfig[0]: it has 0 names"},
		{js: `{"loadBalancingConfig": [{"x": {}}, {"pick_first": {}, "round_robin": {}}]}`, wrong: "loadBalancingConfig[1]: it has 2 names"},
		{js: `{"loadBalancingConfig": [{"x": {}}, {"y": {}}]}`, wrong: "loadBalancingConfig: none of its balancers is registered"},
		{js: `{"loadBalancingConfig": [{"Round_Robin": {}}]}`, wrong: "loadBalancingConfig: none"},
		{js: `{"loadBalancingConfig": [{"x": {}}], "loadBalancingPolicy": "round_robin"}`, wrong: "loadBalancingConfig: none"},
		{js: `{"loadBalancingPolicy": 1}`, wrong: "loadBalancingPolicy: a JSON number where a string is read"},
		{js: `{"loadBalancingPolicy": ["round_robin"]}`, wrong: "loadBalancingPolicy: a JSON array"},
		{js: `{"loadBalancingPolicy": "random_subsetting_experimental"}`, wrong: "loadBalancingPolicy: "},
		{js: `{"loadBalancingPolicy": "rls_experimental"}`, wrong: "loadBalancingPolicy: "},
		{js: `{"loadBalancingConfig": [{"round_robin": {}}], "loadBalancingConfig": [{"pick_first": {}}]}`, wrong: "loadBalancingConfig: it is there twice", stricter: true},
	}, right(
		`{"loadBalancingConfig": null}`, `{"loadBalancingPolicy": null}`, `{"loadBalancingConfig": null, "loadBalancingPolicy": "round_robin"}`,
		`{"loadBalancingPolicy": ""}`, `{"loadBalancingPolicy": "nobody knows it"}`, `{"loadBalancingPolicy": "ROUND_ROBIN"}`, `{"loadBalancingPolicy": "pick_first"}`,
		`{"loadBalancingPolicy": "ring_hash_experimental"}`, `{"loadBalancingPolicy": "weighted_round_robin"}`,
		`{"loadBalancingConfig": [{"x": {}}, {"y": 3}, {"round_robin": {}}, {"pick_first": 17}]}`,
		`{"loadBalancingConfig": [{"round_robin": {}}, {"a": {}, "b": {}}]}`,
		`{"loadBalancingConfig": [{"round_robin": {}, "round_robin": {}}]}`,
	)...)
}

func balancerConfigs() []sample {
	const child = `"childPolicy": [{"round_robin": {}}]`
	var list []sample
	for _, ok := range [][2]string{
		{"pick_first", `{}`}, {"pick_first", `{"shuffleAddressList": true}`}, {"pick_first", `{"shuffleAddressList": null, "unknown": 1}`}, {"pick_first", `null`},
		{"round_robin", `{}`}, {"round_robin", `17`}, {"round_robin", `null`}, {"round_robin", `{"unknown": 1}`},
		{"weighted_round_robin", `{}`},
		{"weighted_round_robin", `{"enableOobLoadReport": true, "oobReportingPeriod": "1s", "blackoutPeriod": "0s", "weightExpirationPeriod": "180s", "weightUpdatePeriod": "0.001s", "errorUtilizationPenalty": 0}`},
		{"least_request_experimental", `{}`}, {"least_request_experimental", `{"choiceCount": 2}`}, {"least_request_experimental", `{"choiceCount": 100}`},
		{"ring_hash_experimental", `{}`}, {"ring_hash_experimental", `{"minRingSize": 1, "maxRingSize": 8388608, "requestHashHeader": "X-Session"}`},
		{"random_subsetting_experimental", `{"subsetSize": 3, ` + child + `}`},
		{"outlier_detection_experimental", `{}`}, {"outlier_detection_experimental", `{` + child + `}`},
		{"outlier_detection_experimental", `{"interval": "1s", "baseEjectionTime": "30s", "maxEjectionTime": "300s", "maxEjectionPercent": 100,
			"successRateEjection": {"stdevFactor": 1900, "enforcementPercentage": 100, "minimumHosts": 5, "requestVolume": 100},
			"failurePercentageEjection": {"threshold": 85, "enforcementPercentage": 0, "minimumHosts": 5, "requestVolume": 50}, ` + child + `}`},
		{"weighted_target_experimental", `{"targets": {"a": {"weight": 1, ` + child + `}}}`}, {"weighted_target_experimental", `{}`},
		{"autosharding_experimental", `{"channelFactoryKey": "a", "autoshardingTarget": "b", "keyHeaderName": "c"}`},
		{"rls_experimental", `{"routeLookupConfig": {"grpcKeybuilders": [{"names": [{"service": "s"}]}], "lookupService": "dns:///rls:1", "cacheSizeBytes": 1000},
			"childPolicy": [{"pick_first": {}}], "childPolicyConfigTargetFieldName": "serviceName"}`},
		{"grpclb", `{}`}, {"grpclb", `{"childPolicy": [{"pick_first": {}}], "serviceName": "s"}`},
		{"priority_experimental", `{"children": {"a": {"config": [{"round_robin": {}}]}}, "priorities": ["a"]}`},
		{"cds_experimental", `{"cluster": "c"}`},
		{"xds_cluster_impl_experimental", `{"cluster": "c", ` + child + `}`},
		{"xds_cluster_manager_experimental", `{"children": {"a": {` + child + `}}}`},
		{"xds_wrr_locality_experimental", `{` + child + `}`},
	} {
		list = append(list, sample{js: lb(ok[0], ok[1])})
	}
	for _, bad := range [][2]string{
		{"pick_first", `{"shuffleAddressList": "yes"}`}, {"pick_first", `17`}, {"pick_first", `[]`},
		{"weighted_round_robin", `{"errorUtilizationPenalty": -1}`}, {"weighted_round_robin", `{"blackoutPeriod": 10}`}, {"weighted_round_robin", `{"weightUpdatePeriod": "x"}`}, {"weighted_round_robin", `[]`},
		{"least_request_experimental", `{"choiceCount": 1}`}, {"least_request_experimental", `{"choiceCount": "2"}`}, {"least_request_experimental", `{"choiceCount": -1}`}, {"least_request_experimental", `{"choiceCount": 2.5}`},
		{"ring_hash_experimental", `{"minRingSize": 10, "maxRingSize": 5}`}, {"ring_hash_experimental", `{"maxRingSize": 8388609}`}, {"ring_hash_experimental", `{"minRingSize": 8388609, "maxRingSize": 8388609}`},
		{"ring_hash_experimental", `{"requestHashHeader": "x-bin"}`}, {"ring_hash_experimental", `{"requestHashHeader": "ä"}`}, {"ring_hash_experimental", `""`},
		{"random_subsetting_experimental", `{}`}, {"random_subsetting_experimental", `{"subsetSize": 3}`}, {"random_subsetting_experimental", `{"subsetSize": 0, ` + child + `}`},
		{"random_subsetting_experimental", `{"subsetSize": 3, "childPolicy": [{"nobody": {}}]}`},
		{"outlier_detection_experimental", `{"interval": "-1s"}`}, {"outlier_detection_experimental", `{"maxEjectionPercent": 101}`},
		{"outlier_detection_experimental", `{"successRateEjection": {"enforcementPercentage": 101}}`}, {"outlier_detection_experimental", `{"failurePercentageEjection": {"threshold": 101}}`},
		{"outlier_detection_experimental", `{"childPolicy": [{"least_request_experimental": {"choiceCount": 1}}]}`}, {"outlier_detection_experimental", `{"childPolicy": {}}`},
		{"weighted_target_experimental", `{"targets": []}`}, {"weighted_target_experimental", `{"targets": {"a": {"weight": -1}}}`},
		{"autosharding_experimental", `{}`}, {"autosharding_experimental", `{"channelFactoryKey": "a", "autoshardingTarget": "b"}`},
		{"rls_experimental", `{}`}, {"rls_experimental", `{"routeLookupConfig": {"grpcKeybuilders": []}}`},
		{"grpclb", `{"childPolicy": {}}`}, {"grpclb", `3`},
		{"priority_experimental", `{"priorities": ["a"]}`}, {"priority_experimental", `{"children": {"a": {}}}`},
		{"cds_experimental", `{"cluster": 1}`}, {"xds_cluster_impl_experimental", `{"cluster": 1}`},
		{"xds_cluster_manager_experimental", `{"children": {"a": {"childPolicy": [{"nobody": {}}]}}}`},
		{"xds_wrr_locality_experimental", `{}`}, {"xds_wrr_locality_experimental", `null`},
	} {
		list = append(list, sample{js: lb(bad[0], bad[1]), wrong: "loadBalancingConfig[0]." + bad[0]})
	}
	return append(list,
		sample{js: `{"loadBalancingConfig": [{"x": {}}, {"least_request_experimental": {"choiceCount": 1}}, {"round_robin": {}}]}`,
			wrong: "loadBalancingConfig[1].least_request_experimental: "},
		sample{js: lb("ring_hash_experimental", `{"minRingSize": "1"}`), wrong: "loadBalancingConfig[0].ring_hash_experimental.minRingSize: "},
		sample{js: lb("grpclb", `{"serviceName": 1}`), wrong: "loadBalancingConfig[0].grpclb.serviceName: "})
}
