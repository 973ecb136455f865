"""orchestrator's own pages, from the folder of web files that `-orc_web_dir` names."""
