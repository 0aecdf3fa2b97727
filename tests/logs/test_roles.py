import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from cognate.observe.logs.roles import ROLES, assign, given, is_validation, nature

ULTRALYTICS = "epoch,time,train/box_loss,train/cls_loss,train/dfl_loss,metrics/mAP50(B),val/box_loss,val/cls_loss,lr/pg0,lr/pg1"
DDPG = "rollout/return,train/loss_critic,train/loss_actor,total/epochs,total/duration,total/steps,rollout/Q_mean"
PPO = "time/fps,time/time_elapsed,time/iterations,time/total_timesteps,train/learning_rate,train/value_loss,rollout/ep_rew_mean"
LLAMA_FACTORY = "current_steps,total_steps,loss,eval_loss,predict_loss,lr,epoch,percentage,elapsed_time,remaining_time"
RAY = "trial_id,training_iteration,time_this_iter_s,time_total_s,loss,mean_accuracy,config/lr,iterations_since_restore"
FAIRSEQ = "train_num_updates,train_loss,train_nll_loss,valid_loss,valid_nll_loss,train_gnorm,train_lr,train_wall"
DETR = "train_lr,train_class_error,train_loss,train_loss_ce,train_loss_ce_unscaled,test_loss,test_loss_ce,epoch,n_parameters"
WANDB = "_step,_runtime,_timestamp,train/loss,train/epoch,train/global_step,eval/loss,train/learning_rate,train/grad_norm"
DETECTRON = "eta_seconds,iteration,loss_box_reg,loss_cls,lr,roi_head/num_bg_samples,total_loss"
GUIDED = "grad_norm,loss,loss_q0,loss_q1,mse,samples,step"

# The log's columns, and the roles that are not user.NAME.
LOGS = {
    "keras": ("epoch,accuracy,learning_rate,loss,val_accuracy,val_loss", "epoch lr=learning_rate loss val_loss"),
    "heads": ("epoch,a_loss,b_loss,loss,lr,val_a_loss,val_b_loss,val_loss", "epoch loss lr val_loss"),
    "heads without a whole": ("epoch,a_loss,b_loss,val_a_loss,val_b_loss", "epoch"),
    "a part of the validation loss": ("epoch,loss,val_box_loss", "epoch loss"),
    "lightning": ("epoch,step,train_loss,valid_loss,valid_loss_0", "epoch step loss=train_loss val_loss=valid_loss"),
    "lightning loaders": ("step,val_loss/dataloader_idx_0,val_loss/dataloader_idx_1", "step val_loss=val_loss/dataloader_idx_0"),
    "two spellings": (
        "train_loss_epoch,train_loss_step,val_loss_step,val_loss_epoch",
        "loss=train_loss_step val_loss=val_loss_epoch",
    ),
    "lr monitor": ("lr-AdamW/pg1-momentum,lr-AdamW/pg1,lr-AdamW/pg2,step", "lr=lr-AdamW/pg1 step"),
    "ultralytics": (ULTRALYTICS, "epoch t=time lr=lr/pg0"),
    "yolov5": ("epoch,train/obj_loss,train/cls_loss,val/obj_loss,x/lr1,x/lr0", "epoch lr=x/lr0"),
    "test set": ("epoch,train_loss,train_acc,test_loss,test_acc", "epoch loss=train_loss val_loss=test_loss"),
    "test beside validation": ("loss,test_loss,val_loss", "loss val_loss"),
    "capitals": ("Epoch,Train Loss,Val Loss,Learning Rate", "epoch=Epoch loss=Train_Loss val_loss=Val_Loss lr=Learning_Rate"),
    "camel case": ("Unnamed: 0,trainLoss,validLoss", "loss=trainLoss val_loss=validLoss"),
    "gan": ("Epoch,Batch,Gen Loss,Disc Loss", "epoch=Epoch step=Batch"),
    "gan, short": ("epoch,G_loss,D_loss,lr_G,lr_D", "epoch"),
    "ddpg": (DDPG, "epoch=total/epochs t=total/duration step=total/steps"),
    "ppo": (PPO, "t=time/time_elapsed step=time/total_timesteps lr=train/learning_rate"),
    "agent": ("step,critic_loss,policy_loss,ep_rew_mean", "step"),
    "agent, one part": ("step,critic_loss,ep_rew_mean", "step"),
    "llama-factory": (LLAMA_FACTORY, "step=current_steps loss val_loss=eval_loss lr epoch t=elapsed_time"),
    "ray": (RAY, "step=training_iteration t=time_total_s loss"),
    "fairseq": (
        FAIRSEQ,
        "step=train_num_updates loss=train_loss val_loss=valid_loss grad_norm=train_gnorm lr=train_lr t=train_wall",
    ),
    "detr": (DETR, "lr=train_lr loss=train_loss val_loss=test_loss epoch"),
    "wandb": (
        WANDB,
        "step=train/global_step t=_runtime loss=train/loss epoch=train/epoch val_loss=eval/loss lr=train/learning_rate "
        "grad_norm=train/grad_norm",
    ),
    "detectron2": (DETECTRON, "step=iteration lr loss=total_loss"),
    "guided diffusion": (GUIDED, "grad_norm loss step"),
    "megatron": (
        "iteration,learning rate,lm loss,loss scale,grad norm",
        "step=iteration lr=learning_rate loss=lm_loss grad_norm=grad_norm",
    ),
    "composer": (
        "trainer/batch_idx,loss/train/total,l2_norm/grad/global",
        "step=trainer/batch_idx loss=loss/train/total grad_norm=l2_norm/grad/global",
    ),
    "regression": ("epoch,mse,mae,val_mse,val_mae", "epoch loss=mse val_loss=val_mse"),
    "only validation": ("epoch,val_nll,val_ppl", "epoch val_loss=val_nll"),
    "history": ("train_losses,val_losses", "loss=train_losses val_loss=val_losses"),
    "records and settings": ("loss,best_val_loss,loss_scale,min_lr,weight_decay,config/lr,val_loss_delta", "loss"),
    "auxiliary": ("step,aux_loss,kl", "step"),
    "gradient by layer": ("grad_norm/layer.0,grad_norm/layer.1,actor_grad_norm", ""),
    "gradient, in total": ("grad_norm/layer.0,grad_2.0_norm_total", "grad_norm=grad_2.0_norm_total"),
}


@pytest.mark.parametrize(("columns", "roles"), LOGS.values(), ids=LOGS)
def test_columns_of_known_logs(columns, roles):
    found = {role: name.replace(" ", "_") for name, role in assign(columns.split(",")).items() if not role.startswith("user.")}
    wanted = dict(pair.split("=") if "=" in pair else (pair, pair) for pair in roles.split())
    assert found == wanted


def test_of_two_spellings_the_one_with_values_is_the_loss():
    names = ["train_loss_step", "train_loss_epoch"]
    assert assign(names, {"train_loss_step": 40, "train_loss_epoch": 50})["train_loss_step"] == "loss"
    assert assign(names, {"train_loss_step": 2, "train_loss_epoch": 50})["train_loss_epoch"] == "loss"
    assert assign(["train_loss", "train/loss"], {"train_loss": 1, "train/loss": 90})["train/loss"] == "loss"


def test_padded_names_keep_their_spelling():
    assert assign(["   epoch", "  train/loss "]) == {"   epoch": "epoch", "  train/loss ": "loss"}


def test_roles_given_by_hand_win():
    with given({"loss": "my_objective", "val_loss": "held", "lr": "not there"}):
        assert assign(["loss", "my_objective", "held", "lr"]) == {
            "loss": "user.loss",
            "my_objective": "loss",
            "held": "val_loss",
            "lr": "lr",
        }
    assert assign(["loss", "my_objective"])["loss"] == "loss"


@pytest.mark.parametrize("name", ["val_loss", "loss/val", "Loss/Validation", "eval/accuracy", "test acc", "devPerplexity"])
def test_what_is_measured_on_validation_data(name):
    assert is_validation(name)


@pytest.mark.parametrize("name", ["loss", "train_eval_time", "interval", "std_dev", "valid_tokens", "latest", "value_loss", ""])
def test_what_is_not(name):
    assert not is_validation(name)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (PPO, "reinforcement"),
        (DDPG, "reinforcement"),
        ("Epoch,Batch,Gen Loss,Disc Loss", "adversarial"),
        ("D_loss,G_loss", "adversarial"),
        ("reward,kl,loss", ""),
        (ULTRALYTICS, ""),
        ("loss,val_loss,d,g", ""),
    ],
)
def test_the_kind_of_training_that_the_names_tell_of(columns, says):
    assert nature(columns.split(",")) == says


pieces = st.sampled_from(
    ["train", "val", "loss", "_", "/", "step", "epoch", "lr", "grad", "norm", "test", "acc", "Loss", "critic", "-", "0", " ", "é"]
)
names = st.lists(st.one_of(st.text(max_size=12), st.lists(pieces, max_size=5).map("".join)), max_size=12)


@drawn(names, st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=3))
def test_every_name_gets_a_role_and_no_role_is_given_twice(columns, counts):
    roles = assign(columns, counts)
    assert list(roles) == list(dict.fromkeys(columns))
    told = [role for role in roles.values() if not role.startswith("user.")]
    assert len(told) == len(set(told)) and set(told) <= set(ROLES)
    assert all(role in ROLES or role == f"user.{name}" for name, role in roles.items())
    assert not (roles and any(role == "loss" and is_validation(name) for name, role in roles.items()))
    assert assign(columns, counts) == roles
