/** All tools that can be read; of those that claim a folder the first one gets it. */
import type { Source } from './source.ts';
import { aim } from './sources/aim.ts';
import { mlflowDatabase, trackio } from './sources/databases.ts';
import { dvcLive } from './sources/dvclive.ts';
import { checkpointFiles } from './sources/files.ts';
import { huggingFace } from './sources/huggingface.ts';
import { lightning } from './sources/lightning.ts';
import { mlflow } from './sources/mlflow.ts';
import { tensorBoard } from './sources/tensorboard.ts';
import { wandb } from './sources/wandb.ts';

export const SOURCES: readonly Source[] = [
  aim,
  wandb,
  lightning,
  huggingFace,
  dvcLive,
  mlflow,
  mlflowDatabase,
  trackio,
];
/** Sources for what none of those has claimed: both may find something in one folder. */
export const PLAIN_SOURCES: readonly Source[] = [tensorBoard, checkpointFiles];
